"""Batches: resident and streamed, in order and shuffled."""

import pytest
import torch

from evonas.data.sources import Source
from evonas.recipe import Recipe
from evonas.tasks.augmentation import random_crop
from evonas.tasks.classification import ImageClassification
from evonas.tasks.splits import CPU_BATCH, Split

MEAN, STD = torch.tensor([100.0, 120.0, 90.0]).view(1, 3, 1, 1), torch.tensor([50.0, 60.0, 70.0]).view(1, 3, 1, 1)
AUGMENTED = Recipe(crop=2, flip=True, cutout=3)
CLASSES = ImageClassification(Source("digits"))  # what is learnt of labels


def split(count=70, *, streamed=False):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (count, 3, 12, 12), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(count), CLASSES, MEAN, STD, streamed)


def epoch(of, recipe=AUGMENTED, size=16, seed=0):
    images, labels = zip(*of.shuffled(size, recipe, torch.Generator().manual_seed(seed)), strict=True)
    return torch.cat(images), torch.cat(labels)


def test_an_epoch_shows_whole_batches_of_different_images():
    images, labels = epoch(split(), Recipe())
    assert images.shape == (64, 3, 12, 12)  # of 70, the last 6 in the order make no batch
    assert len(set(labels.tolist())) == 64
    assert torch.equal(images, (split().inputs[labels].float() - MEAN) / STD)
    assert not torch.equal(labels, epoch(split(), Recipe(), seed=1)[1])


def test_streamed_images_give_the_same_batches_as_resident_ones():
    for recipe in (Recipe(), AUGMENTED):
        for here, there in zip(epoch(split(), recipe), epoch(split(streamed=True), recipe), strict=True):
            assert torch.equal(here, there)
    resident, streamed = (torch.cat([x for x, _ in split(streamed=s).batches()]) for s in (False, True))
    assert torch.equal(resident, streamed)


def test_a_batch_that_is_kept_is_not_overwritten_by_later_ones():
    kept = [images.clone() for images in split(streamed=True)._taken(torch.arange(64).view(4, 16))]
    seen = list(split(streamed=True)._taken(torch.arange(64).view(4, 16)))
    assert all(torch.equal(one, other) for one, other in zip(kept, seen, strict=True))


def test_batches_come_in_channels_last_format():
    for images in (next(split().batches())[0], next(split().shuffled(8, AUGMENTED, torch.Generator()))[0]):
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_images_that_are_normalised_already_stay_as_they_are():
    images = torch.randn(5, 1, 4, 4)
    assert torch.equal(next(Split(images, torch.arange(5), CLASSES).batches())[0], images)


@pytest.mark.parametrize(("side", "largest"), [(8, 1000), (32, CPU_BATCH // 3072), (256, 16)])
def test_evaluation_takes_fewer_images_at_a_time_the_larger_they_are(side, largest):
    images = torch.zeros(1, 3, side, side, dtype=torch.uint8).expand(1200, -1, -1, -1)
    many = Split(images, torch.arange(1200), CLASSES)
    sizes = [len(labels) for _, labels in (next(many.batches()),)]
    assert sizes == [largest]
    assert sum(len(labels) for _, labels in many[:50].batches()) == 50


def test_splits_of_a_task_share_the_memory_of_the_whole():
    task = ImageClassification(Source("digits")).splits("cpu")
    assert torch.equal(task.whole.targets, torch.cat([task.train.targets, task.validation.targets]))
    assert task.validation.inputs.untyped_storage().data_ptr() == task.whole.inputs.untyped_storage().data_ptr()


def test_a_crop_draws_every_shift():
    images = torch.zeros(3000, 1, 5, 5)
    images[:, 0, 2, 2] = 1
    found = random_crop(images, 1, torch.Generator().manual_seed(0)).flatten(1).argmax(1)
    counts = torch.bincount(found, minlength=25).view(5, 5)
    assert (counts[1:4, 1:4] > 250).all()
    assert counts.sum() == counts[1:4, 1:4].sum() == 3000


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_pinned_images_give_the_same_batches_on_a_gpu():
    there = split()
    on_device = Split(there.inputs.cuda(), there.targets.cuda(), CLASSES, MEAN.cuda(), STD.cuda())
    pinned = Split(there.inputs.pin_memory(), there.targets.cuda(), CLASSES, MEAN.cuda(), STD.cuda(), streamed=True)

    def images(of):
        return torch.cat([x for x, _ in of.shuffled(16, AUGMENTED, torch.Generator("cuda").manual_seed(0))])

    assert torch.equal(images(on_device), images(pinned))
