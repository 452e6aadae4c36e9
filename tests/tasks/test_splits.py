"""Batches: resident and streamed, in order and shuffled."""

from dataclasses import replace

import pytest
import torch

from evonas.data.sources import Source
from evonas.recipe import Recipe
from evonas.tasks.augmentation import random_crop
from evonas.tasks.classification import ImageClassification
from evonas.tasks.splits import CPU_BATCH, LARGEST_BATCH, Split, as_often

MEAN, STD = torch.tensor([100.0, 120.0, 90.0]).view(1, 3, 1, 1), torch.tensor([50.0, 60.0, 70.0]).view(1, 3, 1, 1)
AUGMENTED = Recipe(crop=2, flip=True, cutout=3)
CLASSES = ImageClassification(Source("digits"))  # what is learnt of labels


def split(device, count=70, *, streamed=False):
    """Streamed images stay in the memory of the host, pinned where there is a GPU."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (count, 3, 12, 12), dtype=torch.uint8, generator=generator)
    if not streamed:
        images = images.to(device)
    elif device == "cuda":
        images = images.pin_memory()
    return Split(images, torch.arange(count, device=device), CLASSES, MEAN.to(device), STD.to(device), streamed)


def epoch(of, recipe=AUGMENTED, size=16, seed=0):
    images, labels = zip(*of.shuffled(size, recipe, torch.Generator(of.device).manual_seed(seed)), strict=True)
    return torch.cat(images), torch.cat(labels)


def test_an_epoch_shows_whole_batches_of_different_images(device):
    images, labels = epoch(split(device), Recipe())
    assert images.shape == (64, 3, 12, 12)  # of 70, the last 6 in the order make no batch
    assert len(set(labels.tolist())) == 64
    assert torch.equal(images, (split(device).inputs[labels].float() - MEAN.to(device)) / STD.to(device))
    assert not torch.equal(labels, epoch(split(device), Recipe(), seed=1)[1])


def test_streamed_images_give_the_same_batches_as_resident_ones(device):
    for recipe in (Recipe(), AUGMENTED):
        for here, there in zip(epoch(split(device), recipe), epoch(split(device, streamed=True), recipe), strict=True):
            assert torch.equal(here, there)
    resident, streamed = (torch.cat([x for x, _ in split(device, streamed=s).batches()]) for s in (False, True))
    assert torch.equal(resident, streamed)


def test_a_batch_that_is_kept_is_not_overwritten_by_later_ones(device):
    rows = torch.arange(64, device=device).view(4, 16)
    kept = [images.clone() for images in split(device, streamed=True)._taken(rows)]
    seen = list(split(device, streamed=True)._taken(rows))
    assert all(torch.equal(one, other) for one, other in zip(kept, seen, strict=True))


def test_batches_come_in_channels_last_format(device):
    of = split(device)
    for images in (next(of.batches())[0], next(of.shuffled(8, AUGMENTED, torch.Generator(device)))[0]):
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_images_that_are_normalised_already_stay_as_they_are(device):
    images = torch.randn(5, 1, 4, 4, device=device)
    assert torch.equal(next(Split(images, torch.arange(5, device=device), CLASSES).batches())[0], images)


@pytest.mark.parametrize(("side", "largest"), [(8, 1000), (32, CPU_BATCH // 3072), (256, 16)])
def test_evaluation_on_a_cpu_takes_fewer_images_at_a_time_the_larger_they_are(side, largest, device):
    images = torch.zeros(1, 3, side, side, dtype=torch.uint8, device=device).expand(1200, -1, -1, -1)
    many = Split(images, torch.arange(1200, device=device), CLASSES)
    sizes = [len(labels) for _, labels in (next(many.batches()),)]
    assert sizes == [largest if device == "cpu" else LARGEST_BATCH]
    assert sum(len(labels) for _, labels in many[:50].batches()) == 50


def test_splits_of_a_task_share_the_memory_of_the_whole(device):
    task = ImageClassification(Source("digits")).splits(device)
    assert torch.equal(task.whole.targets, torch.cat([task.train.targets, task.validation.targets]))
    assert task.validation.inputs.untyped_storage().data_ptr() == task.whole.inputs.untyped_storage().data_ptr()


def test_a_crop_draws_every_shift(device):
    images = torch.zeros(3000, 1, 5, 5, device=device)
    images[:, 0, 2, 2] = 1
    found = random_crop(images, 1, torch.Generator(device).manual_seed(0)).flatten(1).argmax(1)
    counts = torch.bincount(found, minlength=25).view(5, 5)
    assert (counts[1:4, 1:4] > 250).all()
    assert counts.sum() == counts[1:4, 1:4].sum() == 3000


def test_examples_are_drawn_as_often_as_their_weights_say(device):
    weights = torch.tensor([1.0, 3.0, 0.5, 0.5, 5.0], device=device)  # of 10: 0.5, 1.5, 0.25, 0.25 and 2.5 of 5 draws
    generator = torch.Generator(device).manual_seed(0)
    counts = torch.stack([torch.bincount(as_often(weights, generator), minlength=5) for _ in range(400)])
    assert (counts.sum(1) == 5).all()
    assert counts.max(0).values.tolist() == [1, 2, 1, 1, 3]
    assert counts.min(0).values.tolist() == [0, 1, 0, 0, 2]
    assert torch.allclose(counts.float().mean(0), weights / 2, atol=0.08)


def test_equal_weights_draw_each_example_once_in_a_random_order(device):
    order = as_often(torch.full((1000,), 0.3, device=device), torch.Generator(device).manual_seed(0))
    assert torch.equal(order.sort().values, torch.arange(1000, device=device))
    assert not torch.equal(order, torch.arange(1000, device=device))


def test_an_epoch_and_a_balanced_one_follow_the_weights_of_a_part(device):
    weights = torch.ones(60, device=device)
    weights[:10], weights[10:20] = 1e6, 2e6  # but the first ten are not in the part
    part = replace(split(device, 60), targets=torch.arange(60, device=device) // 30, weights=weights)[10:]
    drawn = epoch(part, Recipe(), size=50)[0]
    of_heavy = (part.normalised(part.inputs[:10])[:, None] == drawn).flatten(2).all(2).any(0)
    assert of_heavy.all()
    labels = epoch(part, Recipe(balanced=True), size=50)[1]
    assert 10 <= int(labels.sum()) <= 40  # of two classes, whose weights are 2e7 and 30
