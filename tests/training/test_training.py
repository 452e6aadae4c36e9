import copy
import random
from dataclasses import replace

import pytest
import torch
from devices import agree, like
from torch import nn

from evonas.data.sources import Source
from evonas.errors import UserError
from evonas.genomes.genet import DIGITS
from evonas.graph import INPUT, Draft
from evonas.modules import DropPath
from evonas.network import build
from evonas.operations import Convolution
from evonas.recipe import RECIPES, Recipe
from evonas.tasks.augmentation import cutout, random_crop, random_flip
from evonas.tasks.classification import ImageClassification
from evonas.training.course import train
from evonas.training.train import Training, TrainingFailed, evaluate, keep_schedule, optimizer_of

NETWORK = DIGITS.decode(DIGITS.parse("1-00/1-00-000"))
DROPPING = replace(DIGITS, dropout=0.5).decode(DIGITS.parse("1-00/1-00-000"))  # draws from the global generators
QUICK = Recipe(epochs=3, batch_size=64, learning_rate=0.05, crop=1)


@pytest.fixture(scope="module")
def digits(device):
    return ImageClassification(Source("digits")).splits(device)


def generator(device, seed=0):
    return torch.Generator(device).manual_seed(seed)


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


# ---- recipes ------------------------------------------------------------------------------------------------------


def test_schedules_are_those_of_the_papers():
    cosine = Recipe(epochs=10, learning_rate=0.2, schedule="cosine")
    assert (cosine.rate(0), cosine.rate(5)) == pytest.approx((0.2, 0.1))
    assert cosine.rate(10) == pytest.approx(0)
    warm = Recipe(epochs=10, learning_rate=0.2, warmup=2)
    assert [warm.rate(epoch) for epoch in (0, 1, 2, 6)] == pytest.approx([0, 0.1, 0.2, 0.1])
    genet = Recipe(epochs=240, learning_rate=1e-2, schedule="step", milestones=(120, 180, 220))
    assert [genet.rate(epoch) for epoch in (0, 119.9, 120, 180, 239)] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4, 1e-5])
    assert Recipe(schedule="constant", learning_rate=0.3).rate(2) == 0.3


@pytest.mark.parametrize(
    ("by_epoch", "rates", "dropped"), [(False, (0.1707, 0.0293), (0.1, 0.3)), (True, (0.2, 0.1), (0.0, 0.2))]
)
def test_learning_rate_and_drop_path_change_at_every_step_or_once_an_epoch(by_epoch, rates, dropped):
    recipe = Recipe(epochs=2, learning_rate=0.2, drop_path=0.4, by_epoch=by_epoch)
    optimizer, path = optimizer_of([nn.Parameter(torch.zeros(1))], recipe), DropPath(1.0)
    for now, rate, drop in zip((0.5, 1.5), rates, dropped, strict=True):  # in the middle of an epoch
        keep_schedule(recipe, now, optimizer, [path])
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate, abs=1e-4)
        assert path.rate == pytest.approx(drop)


NESTEROV = {
    "genet-mnist",
    "genet-cifar10",
    "gdas-search",
    "proxylessnas-search",
    "proxylessnas",
    "setn-search",
    "enas-search",
    "enas-micro",
    "enas-macro",
    "one-shot-search",
    "one-shot",
    "nas-rl",
    "dpp-net",
    "eas-search",
    "eas-final",
    "path-level-search",
    "path-level-final",
}


@pytest.mark.parametrize("name", RECIPES)
def test_momentum_is_nesterovs_where_it_is_in_the_paper_or_its_code(name):
    """Elsewhere the papers and their code have plain momentum; GeNet's paper does not say which."""
    recipe = RECIPES[name]
    if recipe.optimizer == "sgd":
        assert recipe.nesterov is (name in NESTEROV)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"warmup": 1, "by_epoch": True}, "set warmup=0"),
        ({"epochs": 0}, "epochs is 0; use at least 1"),
        ({"batch_size": 1}, "at least 2 images"),
        ({"optimizer": "sdg"}, "use one of sgd, adam"),
        ({"schedule": "linear"}, "use one of cosine, step, constant"),
        ({"learning_rate": 0.0}, "positive"),
        ({"learning_rate": float("nan")}, "positive"),
        ({"label_smoothing": 1.0}, "below 1"),
        ({"crop": -1}, "at least 0"),
        ({"epochs": 2, "warmup": 2.0}, "leave some epochs after it"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(fields, says):
    with pytest.raises(UserError, match=says):
        Recipe(**fields)


# ---- training -----------------------------------------------------------------------------------------------------


def test_training_learns_digits_on_the_device_of_the_data(digits, device):
    network = build(NETWORK, seed=1)
    curve = train(network, digits.train, QUICK, seed=2, validation=digits.validation)
    assert len(curve) == 3
    assert curve[-1]["accuracy"] > 0.85
    assert evaluate(network, digits.validation) == like(curve[-1], device)
    assert {weight.device.type for weight in network.parameters()} == {device}


def test_training_in_bfloat16_learns_digits(digits):
    curve = train(build(NETWORK, seed=1), digits.train, QUICK, seed=2, validation=digits.validation,
                  precision="bfloat16")  # fmt: skip
    assert curve[-1]["accuracy"] > 0.85


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(digits, device):
    def run(seed):
        network = build(NETWORK, seed=1)
        train(network, digits.train, Recipe(epochs=1, crop=1, flip=True, cutout=2), seed=seed)
        return weights(network)

    assert agree(run(5), run(5), device)
    assert not agree(run(5), run(6), device)


def test_training_leaves_the_global_generators_alone(digits, device):
    def states():
        return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if device == "cuda" else [])]

    torch.manual_seed(0)
    before = states()
    train(build(DROPPING), digits.train, Recipe(epochs=1), seed=5)
    assert all(torch.equal(one, other) for one, other in zip(before, states(), strict=True))


def test_adam_and_clipping_and_smoothing_train_too(digits):
    recipe = Recipe(epochs=3, optimizer="adam", learning_rate=3e-3, clip_norm=1.0, label_smoothing=0.1)
    curve = train(build(NETWORK), digits.train, recipe, seed=0, validation=digits.validation)
    assert curve[-1]["accuracy"] > 0.8


def test_rmsprop_trains_as_mobile_networks_are_trained(digits):
    recipe = Recipe(epochs=3, optimizer="rmsprop", learning_rate=2e-3, schedule="constant")
    assert train(build(NETWORK), digits.train, recipe, seed=0, validation=digits.validation)[-1]["accuracy"] > 0.8


def test_a_training_that_learns_nothing_begins_anew_with_a_smaller_learning_rate(digits, device):
    recipe = Recipe(epochs=2, optimizer="adam", learning_rate=30.0, schedule="constant", restarts=12)
    network, plain = build(NETWORK, seed=1), build(NETWORK, seed=1)
    curve = train(network, digits.train, recipe, seed=0, validation=digits.validation)
    restarts = len(curve) - 2
    assert 0 < restarts < 12
    values = [each["accuracy"] for each in curve]
    assert max(values[:restarts]) <= digits.validation.null < values[restarts]
    calmer = Recipe(epochs=2, optimizer="adam", learning_rate=30.0 * 0.4**restarts, schedule="constant")
    expected = train(plain, digits.train, calmer, seed=0, validation=digits.validation)
    assert len(expected) == len(curve[restarts:])
    if device == "cpu":  # such learning rates blow up whatever a GPU rounds otherwise
        assert expected == curve[restarts:]
        assert torch.equal(weights(network), weights(plain))


def test_a_training_that_diverges_in_its_first_epoch_begins_anew_too(digits, device, monkeypatch):
    wild = Recipe(epochs=2, learning_rate=1e30, schedule="constant", restarts=1)
    with pytest.raises(TrainingFailed, match="not finite in epoch 1 of 2"):
        train(build(NETWORK), digits.train, replace(wild, restarts=0), seed=0, validation=digits.validation)
    monkeypatch.setattr("evonas.training.course.RESTARTED", 1e-31)
    curve = train(build(NETWORK), digits.train, wild, seed=0, validation=digits.validation)
    calm = replace(wild, learning_rate=1e30 * 1e-31, restarts=0)
    expected = train(build(NETWORK), digits.train, calm, seed=0, validation=digits.validation)
    assert curve == [like(each, device) for each in expected]


def test_without_restarts_left_a_hopeless_training_goes_on(digits):
    recipe = Recipe(epochs=2, optimizer="adam", learning_rate=1e6, schedule="constant", restarts=1)
    assert len(train(build(NETWORK), digits.train, recipe, seed=0, validation=digits.validation)) == 3


def test_a_loss_that_is_not_finite_is_a_failure(digits):
    network = build(NETWORK)
    with torch.no_grad():
        network.state_dict()["stage1.input.conv.weight"].fill_(float("nan"))
    with pytest.raises(TrainingFailed, match="not finite in epoch 1 of 3") as failure:
        train(network, digits.train, QUICK, seed=0)
    assert failure.value.kind == "nan"


def test_time_over_the_limit_is_a_failure(digits):
    ticks = iter(range(1000))
    with pytest.raises(TrainingFailed, match="time limit in epoch 2 of 3") as failure:
        train(build(NETWORK), digits.train, QUICK, seed=0, deadline=20, clock=lambda: next(ticks))
    assert failure.value.kind == "time"


class Greedy(nn.Module):
    """Asks for memory that no machine has."""

    def __init__(self, error=None):
        super().__init__()
        self.weight, self.error = nn.Parameter(torch.zeros(1)), error

    def forward(self, x):
        if self.error is not None:
            raise self.error
        return torch.empty(1 << 48, device=x.device) * self.weight


@pytest.mark.parametrize("error", [None, torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_running_out_of_memory_is_a_failure(digits, error):
    with pytest.raises(TrainingFailed, match="out of memory") as failure:
        train(Greedy(error), digits.train, QUICK, seed=0)
    assert failure.value.kind == "memory"


def test_an_error_of_ours_is_not_taken_for_a_failure_of_the_network(digits):
    with pytest.raises(RuntimeError, match="a bug"):
        train(Greedy(RuntimeError("a bug")), digits.train, QUICK, seed=0)


def test_a_batch_larger_than_the_data_takes_all_of_it(digits):
    few = digits.train[:10]
    network = build(NETWORK)
    before = weights(network)
    train(network, few, Recipe(epochs=1, batch_size=64), seed=0)
    assert not torch.equal(before, weights(network).cpu())


# ---- data on the device -------------------------------------------------------------------------------------------


def test_images_are_normalised_by_the_training_part(digits):
    images = torch.cat([images for images, _ in digits.whole.batches()])
    assert images.mean().item() == pytest.approx(0, abs=1e-5)
    assert images.std().item() == pytest.approx(1, abs=1e-3)
    assert len(digits.whole) == len(images) == 1437
    assert (len(digits.train), len(digits.validation)) == (1149, 288)
    assert digits.whole.inputs.dtype == torch.uint8
    assert digits.train.inputs.data_ptr() == digits.whole.inputs.data_ptr()  # kept once
    assert len(digits.test) == 360


def test_a_crop_shifts_each_image_by_at_most_the_padding(device):
    images = torch.arange(1.0, 1 + 64 * 2 * 6 * 6, device=device).view(64, 2, 6, 6)
    images = images.contiguous(memory_format=torch.channels_last)
    cropped = random_crop(images, 2, generator(device))
    padded = nn.functional.pad(images, (2, 2, 2, 2))
    shifts = set()
    for image, result in zip(padded, cropped, strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(image[:, y : y + 6, x : x + 6], result)]
        assert found
        shifts.update(found)
    assert len(shifts) > 15


def test_a_flip_mirrors_about_half_of_the_images(device):
    images = torch.randn(400, 1, 4, 4, device=device)
    flipped = random_flip(images, generator(device))
    mirrored = [torch.equal(a.flip(2), b) for a, b in zip(images, flipped, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(images, flipped, strict=True)]
    assert all(m or k for m, k in zip(mirrored, kept, strict=True))
    assert 150 < sum(mirrored) < 250


def test_cutout_blanks_one_square_that_may_hang_over_the_edge(device):
    blanked = (cutout(torch.ones(500, 3, 8, 8, device=device), 4, generator(device)) == 0).float()
    areas = blanked[:, 0].sum((1, 2))
    assert areas.max() == 16
    assert areas.min() == 4  # its centre in a corner
    assert torch.equal(blanked[:, 0], blanked[:, 2])


def test_streams_have_names():
    from evonas.support.streams import number, stream

    assert stream(1, "a").random() == stream(1, "a").random()
    assert len({number(1, "a"), number(2, "a"), number(1, "b"), number(1, "a", 0)}) == 4
    assert isinstance(stream(0), random.Random)


# ---- averages of the weights --------------------------------------------------------------------------------------


def test_the_moving_average_is_what_its_equation_says(digits):
    network, values = build(NETWORK, seed=1), []
    training = Training(network, digits.train[:256], Recipe(epochs=1, batch_size=64, average=0.9), seed=0)
    step = training.optimizer.step

    def watched():
        step()
        values.append(torch.cat([weight.detach().flatten() for weight in network.parameters()]))

    training.optimizer.step = watched
    training.epoch()
    expected = values[0]  # the first weights after a step, and not those that were drawn
    for count, value in enumerate(values[1:], 1):
        expected = torch.lerp(expected, value, 1 - min(0.9, (1 + count) / (10 + count)))
    found = torch.cat([weight.flatten() for weight in training.judged.parameters()])
    assert torch.allclose(found, expected, atol=1e-6)
    assert len(values) == 4
    assert not torch.allclose(found, values[-1], atol=1e-4)


def test_an_averaged_network_is_what_is_judged_and_kept(digits, device):
    network = build(NETWORK, seed=1)
    recipe = Recipe(epochs=3, batch_size=64, learning_rate=0.05, average=0.95)
    curve = train(network, digits.train, recipe, seed=2, validation=digits.validation)
    assert evaluate(network, digits.validation) == like(curve[-1], device)
    assert curve[-1]["accuracy"] > 0.85
    plain = build(NETWORK, seed=1)
    train(plain, digits.train, replace(recipe, average=0.0), seed=2)
    assert not agree(weights(network), weights(plain), device)


def test_an_averaged_training_goes_on_from_its_state_as_if_it_had_not_stopped(digits, device):
    recipe = Recipe(epochs=3, batch_size=64, average=0.95)
    whole = Training(build(NETWORK, seed=1), digits.train, recipe, seed=2)
    for _ in range(3):
        whole.epoch()
    first = Training(build(NETWORK, seed=1), digits.train, recipe, seed=2)
    first.epoch()
    later = Training(build(NETWORK, seed=9), digits.train, recipe, seed=2)
    later.load_state(copy.deepcopy(first.state()))
    for _ in range(2):
        later.epoch()
    assert agree(weights(whole.judged), weights(later.judged), device)


def test_grouped_convolutions_stay_in_float32_under_autocast():
    draft = Draft((4, 8, 8))
    draft.node("stem", [INPUT], Convolution(8, groups=4), Convolution(8, 1))
    network = build(draft.graph(), seed=0)
    x, seen = torch.randn(2, 4, 8, 8), {}
    for name, module in network.stem.named_children():
        module.register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: output.dtype}))
    with torch.autocast("cpu", torch.bfloat16):
        network(x)
    assert seen == {"conv": torch.float32, "conv_2": torch.bfloat16}
    plain = torch.nn.functional.conv2d(x, network.stem.conv.weight, padding=1, groups=4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network.stem.conv(x), plain), "in float32 throughout"
