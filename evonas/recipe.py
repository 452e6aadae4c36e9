"""Training recipes: frozen and independent of torch, so that they can be listed, printed and compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import cos, floor, pi
from typing import Any

from evonas.errors import UserError

OPTIMIZERS = ("sgd", "adam", "rmsprop")
SCHEDULES = ("cosine", "step", "constant")


LATER = {
    "nesterov": True,
    "last_rate": 0.0,
    "cycle": 0,
    "by_epoch": False,
    "class_weights": False,
    "balanced": False,
    "longest": 0,
    "average": 0.0,
    "distill": 0.0,
    "distill_temperature": 0.0,
    "hard": 1.0,
    "features": (),
    "imitate": 1.0,
}  # added later, with their defaults
OF_TEACHER = ("distill", "distill_temperature", "features", "imitate", "hard")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training recipe.

    epochs            passes over the training images
    longest           epochs that a final training may have where a limit of time leaves room; 0: no more than `epochs`
    batch_size        images per step
    optimizer         sgd, adam, or rmsprop (decay 0.9, as mobile networks are trained)
    learning_rate     peak learning rate
    momentum          momentum of sgd and rmsprop
    weight_decay      weight decay on all weights
    nesterov          whether sgd's momentum is Nesterov's or plain
    schedule          cosine: to `last_rate` at the last step; step: times `gamma` after each of `milestones`; constant
    last_rate         learning rate to which a cosine falls
    cycle             epochs of the first of several cosines, each twice as long as the one before it; 0: one cosine
    milestones        epochs after which the step schedule applies `gamma`
    warmup            epochs over which the learning rate rises linearly from 0
    by_epoch          whether learning rate and drop path keep the value of an epoch's beginning throughout it, as in
                      much published code; else they change at every step
    crop              pixels by which an image is padded with its mean and cropped back at random; 0: none
    flip              whether images are mirrored horizontally at random
    cutout            side in pixels of the square that is blanked at random; 0: none
    label_smoothing   share of the target that is spread over all classes
    class_weights     whether the loss of an image is weighted by how rare its class is: as if all classes were equal
    balanced          whether images are drawn so that all classes are equally frequent in an epoch, in place of each
                      image once
    average           decay of a moving average of the weights, step by step: it is judged and kept in place of the
                      weights themselves; 0: none
    clip_norm         bound on the norm of the gradients; 0: none
    drop_path         probability at the end of training with which a path of a cell is dropped for an image, growing
                      linearly from 0 (and with depth in NASNet's skeleton); for networks that have such paths
    auxiliary         weight of the loss of a second classifier in the middle, which is discarded after training; 0:
                      none; for networks whose skeleton defines its place
    distill           weight of a teacher's outputs in the loss: with `distill_temperature` 0 of the mean squared error
                      of logits (Ba and Caruana 2014), else of the cross-entropy with the teacher's softened
                      probabilities, times the square of the temperature (Hinton et al. 2015); 0: they do not count
    distill_temperature
                      by which logits are divided before the softmax of both; 0: squared errors of logits
    features          nodes whose outputs are to be those of the teacher's nodes of the same names
    imitate           weight of the mean squared error of each of these
    hard              weight of the loss of labels where there is a teacher
    best_of           number of last epochs whose best validation accuracy is the fitness in a search; 1: only the last
    restarts          how often a training in a search may start over, with 0.4 times the learning rate, because its
                      first epoch was no better than always naming the most frequent class (MetaQNN, Block-QNN)
    trainings         number of trainings from fresh weights whose mean accuracy is the fitness in a search; a final
                      training is a single one
    """

    epochs: int = 3
    longest: int = 0
    batch_size: int = 64
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    last_rate: float = 0.0
    cycle: int = 0
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1
    warmup: float = 0.0
    by_epoch: bool = False
    crop: int = 0
    flip: bool = False
    cutout: int = 0
    label_smoothing: float = 0.0
    class_weights: bool = False
    balanced: bool = False
    average: float = 0.0
    clip_norm: float = 0.0
    drop_path: float = 0.0
    auxiliary: float = 0.0
    distill: float = 0.0
    distill_temperature: float = 0.0
    features: tuple[str, ...] = ()
    imitate: float = 1.0
    hard: float = 1.0
    best_of: int = 1
    restarts: int = 0
    trainings: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "best_of", "trainings"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; use at least 1")
        if self.batch_size < 2:
            raise UserError(f"batch_size is {self.batch_size}; batch norm needs at least 2 images")
        if self.optimizer not in OPTIMIZERS:
            raise UserError(f"optimizer is {self.optimizer!r}; use one of {', '.join(OPTIMIZERS)}")
        if self.schedule not in SCHEDULES:
            raise UserError(f"schedule is {self.schedule!r}; use one of {', '.join(SCHEDULES)}")
        if not self.learning_rate > 0:
            raise UserError(f"learning_rate is {self.learning_rate}; use a positive number")
        if not all(0 <= each < 1 for each in (self.label_smoothing, self.momentum, self.drop_path, self.average)):
            raise UserError("label_smoothing, momentum, drop_path and average must be at least 0 and below 1")
        if min(self.weight_decay, self.warmup, self.crop, self.cutout, self.clip_norm, self.gamma, self.auxiliary,
               self.restarts, self.last_rate, self.cycle) < 0:  # fmt: skip
            raise UserError("weight_decay, warmup, crop, cutout, clip_norm, gamma, auxiliary, restarts, last_rate and "
                            "cycle must be at least 0")  # fmt: skip
        if min(self.distill, self.distill_temperature, self.imitate, self.hard) < 0:
            raise UserError("distill, distill_temperature, imitate and hard must be at least 0")
        if not self.distills and (self.hard != 1 or self.distill_temperature):
            raise UserError("hard and distill_temperature are of trainings with a teacher; set distill, such as 1, or "
                            "leave them out")  # fmt: skip
        if 0 < self.longest < self.epochs:
            raise UserError(f"longest is {self.longest}, fewer than the {self.epochs} epochs; use more, or 0")
        if self.warmup >= self.epochs:
            raise UserError(f"warmup is {self.warmup} of {self.epochs} epochs; leave some epochs after it")
        if self.warmup and self.by_epoch:
            raise UserError("a warmup rises at every step, from 0; set warmup=0, or by_epoch=False")

    @property
    def distills(self) -> bool:
        """Whether a teacher is a part of the training."""
        return self.distill > 0 or bool(self.features)

    def by_labels(self) -> Recipe:
        """The same without a teacher."""
        own: dict[str, Any] = {name: LATER[name] for name in OF_TEACHER}
        return replace(self, **own)

    def moment(self, epoch: float) -> float:
        """What the schedules take for a moment: that itself, or the epoch in which it lies."""
        return floor(epoch) if self.by_epoch else epoch

    def rate(self, epoch: float) -> float:
        """The learning rate at a moment, given in (fractional) epochs from the start."""
        if epoch < self.warmup:
            return self.learning_rate * epoch / self.warmup
        if self.schedule == "cosine":  # Loshchilov and Hutter 2017, Eq. 5
            done, length = epoch - self.warmup, self.epochs - self.warmup
            if self.cycle:
                length = self.cycle
                while done >= length:
                    done, length = done - length, 2 * length
            return self.last_rate + (self.learning_rate - self.last_rate) * (1 + cos(pi * done / length)) / 2
        if self.schedule == "step":
            return self.learning_rate * self.gamma ** sum(epoch >= milestone for milestone in self.milestones)
        return self.learning_rate

    @property
    def most_epochs(self) -> int:
        """Those of a final training that has all the time that it wants."""
        return self.longest or self.epochs

    def lasting(self, epochs: int) -> Recipe:
        """The same for so many epochs; milestones and warm-up keep their share of the whole."""
        if epochs == self.epochs:
            return replace(self, longest=0)
        share = epochs / self.epochs
        milestones = tuple(round(milestone * share) for milestone in self.milestones)
        return replace(self, epochs=epochs, longest=0, milestones=milestones, warmup=self.warmup * share)

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values. Fields that were added later are omitted while they have their default, so that
        recipes keep their identity and trainings their seeds."""
        said = {name: value for name, value in asdict(self).items() if name not in LATER or value != LATER[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}


# For small machines, on 8x8 digits and on larger images. What each part of the final recipes is worth is measured by
# benchmarks/recipes.py. Crop and flip are those of the preset's own data; others bring theirs (`Task.augmentation`).
DIGITS_RECIPE = Recipe(epochs=4, batch_size=64, learning_rate=0.05, crop=1)
SMALL_RECIPE = Recipe(epochs=3, batch_size=64, learning_rate=0.05, warmup=1, crop=4, flip=True)
SMALL_FINAL = Recipe(
    epochs=40, longest=200, batch_size=64, learning_rate=0.1, warmup=12, crop=4, flip=True, label_smoothing=0.1,
    clip_norm=5,
)  # fmt: skip
DIGITS_FINAL = replace(SMALL_FINAL, crop=1, flip=False)

# Named recipes: the papers', under the name of the system, and one for residual networks on CIFAR.
RECIPES: dict[str, Recipe] = {
    # Xie and Yuille 2017, section 4. The paper does not state batch size, momentum, weight decay or augmentation;
    # these are ours: 128 images, Nesterov momentum 0.9, weight decay 5e-4, no augmentation.
    "genet-mnist": Recipe(epochs=25, batch_size=128, learning_rate=1e-3, schedule="step", milestones=(20, 24)),
    "genet-cifar10": Recipe(
        epochs=240, batch_size=128, learning_rate=1e-2, schedule="step", milestones=(120, 180, 220)
    ),
    # Cai et al. 2018 (EAS), section 4 and published code: of children, and of the networks that are found
    "eas-search": Recipe(epochs=20, batch_size=64, learning_rate=0.02, weight_decay=1e-4, crop=4, flip=True),
    "eas-final": Recipe(epochs=300, batch_size=64, learning_rate=0.1, weight_decay=1e-4, crop=4, flip=True),
    # Cai et al. 2018 (Path-level EAS), section 4.1 and published code: of children, and of the networks that are found
    "path-level-search": Recipe(epochs=20, batch_size=64, learning_rate=0.035, weight_decay=1e-4, crop=4, flip=True),
    "path-level-final": Recipe(epochs=300, batch_size=64, learning_rate=0.1, weight_decay=1e-4, crop=4, flip=True),
    # Elsken et al. 2017, section 4.1, each training a cosine of its own; momentum, weight decay and batches, which the
    # paper does not state, are those of others' code
    "nash-search": Recipe(
        epochs=17, batch_size=128, learning_rate=0.05, nesterov=False, weight_decay=5e-4, crop=4, flip=True
    ),
    "nash-final": Recipe(
        epochs=100, batch_size=128, learning_rate=0.05, nesterov=False, weight_decay=5e-4, crop=4, flip=True
    ),
    # Liu et al. 2019, section 3.2 and published code
    "darts": Recipe(
        epochs=600, batch_size=96, learning_rate=0.025, weight_decay=3e-4, crop=4, flip=True, cutout=16, clip_norm=5,
        drop_path=0.2, auxiliary=0.4, nesterov=False, by_epoch=True,
    ),
    # Liu et al. 2019, section 3.1 and published code: the training of the weights in the search
    "darts-search": Recipe(
        epochs=50, batch_size=64, learning_rate=0.025, nesterov=False, weight_decay=3e-4, last_rate=1e-3, crop=4,
        flip=True, clip_norm=5, by_epoch=True,
    ),
    # Xie et al. 2019, published code
    "snas-search": Recipe(
        epochs=150, batch_size=64, learning_rate=0.025, nesterov=False, weight_decay=3e-4, last_rate=1e-3, crop=4,
        flip=True, clip_norm=5, by_epoch=True,
    ),
    # Chang et al. 2019, published code; the weights learn from all training images, as in the paper
    "data-search": Recipe(
        epochs=100, batch_size=64, learning_rate=0.025, nesterov=False, weight_decay=3e-4, last_rate=1e-3, crop=4,
        flip=True, clip_norm=5, by_epoch=True,
    ),
    # Dong and Yang 2019, section 4.2: 240 epochs; Nesterov's momentum and rates that change at every step are those of
    # the authors' code, which has 250 epochs and a weight decay of 5e-4
    "gdas-search": Recipe(
        epochs=240, batch_size=64, learning_rate=0.025, weight_decay=3e-4, last_rate=1e-3, crop=4, flip=True,
        clip_norm=5,
    ),
    # Xu et al. 2020, section 4.2 and published code
    "pc-darts-search": Recipe(
        epochs=50, batch_size=256, learning_rate=0.1, nesterov=False, weight_decay=3e-4, crop=4, flip=True,
        clip_norm=5, by_epoch=True,
    ),
    "pc-darts": Recipe(
        epochs=600, batch_size=96, learning_rate=0.025, weight_decay=3e-4, crop=4, flip=True, cutout=16, clip_norm=5,
        drop_path=0.3, auxiliary=0.4, nesterov=False, by_epoch=True,
    ),
    # Wu et al. 2019: two ports agree on the search (on 100 classes, which is up to the data given); its batch size and
    # that of the final training, and 360 epochs, are from memory
    "fbnet-search": Recipe(
        epochs=90, batch_size=192, learning_rate=0.1, nesterov=False, weight_decay=1e-4, crop=28, flip=True,
    ),
    "fbnet": Recipe(
        epochs=360, batch_size=256, learning_rate=0.1, nesterov=False, weight_decay=4e-5, schedule="step",
        milestones=(90, 180, 270), crop=28, flip=True,
    ),
    # Cai et al. 2019, published code, whose 40 epochs of warm-up have a cosine of their own, from 0.05; rate and epochs
    # of the final training are from memory
    "proxylessnas-search": Recipe(
        epochs=160, batch_size=256, learning_rate=0.025, weight_decay=4e-5, crop=28, flip=True, label_smoothing=0.1,
    ),
    "proxylessnas": Recipe(
        epochs=300, batch_size=256, learning_rate=0.05, weight_decay=4e-5, crop=28, flip=True, label_smoothing=0.1,
    ),
    # Chen et al. 2019, and published code: three stages of 25 epochs
    "p-darts-search": Recipe(
        epochs=75, batch_size=96, learning_rate=0.025, nesterov=False, weight_decay=3e-4, crop=4, flip=True,
        clip_norm=5, by_epoch=True,
    ),
    "p-darts": Recipe(
        epochs=600, batch_size=128, learning_rate=0.025, weight_decay=3e-4, crop=4, flip=True, cutout=16, clip_norm=5,
        drop_path=0.3, auxiliary=0.4, nesterov=False, by_epoch=True,
    ),
    # Pham et al. 2018, published code for cells. Its l2 term is not halved, so our weight decay is twice its number.
    "enas-search": Recipe(
        epochs=150, batch_size=160, learning_rate=0.05, last_rate=5e-4, cycle=10, weight_decay=2e-4, crop=4, flip=True,
        clip_norm=5, by_epoch=True,
    ),
    "enas-micro": Recipe(
        epochs=630, batch_size=144, learning_rate=0.05, last_rate=1e-4, cycle=10, weight_decay=4e-4, crop=4, flip=True,
        clip_norm=5, drop_path=0.4, auxiliary=0.4, by_epoch=True,
    ),
    "enas-macro": Recipe(
        epochs=310, batch_size=100, learning_rate=0.05, last_rate=1e-3, cycle=10, weight_decay=4e-4, crop=4, flip=True,
        clip_norm=5, by_epoch=True,
    ),
    # Guo et al. 2020, section 4.1 and published code: 120 epochs of 1,024 images, the rate falling linearly; 240 for
    # the network that is found. Evonas has no linear schedule: a cosine; biases and norms decay too.
    "spos-search": Recipe(
        epochs=120, batch_size=1024, learning_rate=0.5, weight_decay=4e-5, nesterov=False, crop=28, flip=True,
        label_smoothing=0.1,
    ),
    "spos": Recipe(
        epochs=240, batch_size=1024, learning_rate=0.5, weight_decay=4e-5, nesterov=False, crop=28, flip=True,
        label_smoothing=0.1,
    ),
    # Dong and Yang 2019, published code for NAS-Bench-201
    "setn-search": Recipe(
        epochs=250, batch_size=64, learning_rate=0.025, weight_decay=5e-4, last_rate=1e-3, crop=4, flip=True,
    ),
    # Chu, Zhang and Xu 2021, from memory: the authors' training code is not public
    "fairnas-search": Recipe(
        epochs=150, batch_size=256, learning_rate=0.045, weight_decay=4e-5, nesterov=False, crop=28, flip=True,
    ),
    # Zhang et al. 2020, published code; the paper has batches of 64, and 300 epochs for recurrent cells alone
    "nsas-search": Recipe(
        epochs=50, batch_size=32, learning_rate=0.025, weight_decay=3e-4, last_rate=1e-3, nesterov=False, crop=4,
        flip=True, clip_norm=5, by_epoch=True,
    ),
    # Ashok et al. 2018, published code: squared errors of logits; batches of 128 are ours
    "n2n-search": Recipe(
        epochs=5, batch_size=128, optimizer="adam", learning_rate=5e-4, weight_decay=5e-4, schedule="constant", crop=4,
        flip=True, distill=1.0, hard=0.0,
    ),
    # Bender et al. 2018: 10,000 steps of 1,024 images on 45,000 images, and 300 epochs. The paper states neither
    # schedules nor weight decay nor augmentation; these are ours, as is the batch size of the final training, which is
    # that of its shorter ones.
    "one-shot-search": Recipe(
        epochs=225, batch_size=1024, learning_rate=0.1, weight_decay=1e-4, schedule="constant", crop=4, flip=True,
    ),
    "one-shot": Recipe(epochs=300, batch_size=64, learning_rate=0.1, weight_decay=1e-4, crop=4, flip=True),
    # Real et al. 2019, "Methods"
    "amoebanet": Recipe(
        epochs=600, batch_size=128, learning_rate=0.024, weight_decay=5e-4, crop=4, flip=True, drop_path=0.3,
        auxiliary=0.5, nesterov=False,
    ),
    # Liu et al. 2018, section 4.1, in epochs: 5,000 steps of 256 images on 40,000 images, and 80,000 steps on 50,000.
    # The paper crops 24x24 from 32x32 and tests on 32x32; here images are padded and cropped back. The fitness is the
    # mean of four trainings.
    "hierarchical": Recipe(
        epochs=32, batch_size=256, learning_rate=0.1, weight_decay=3e-4, schedule="step", milestones=(26, 29),
        crop=4, flip=True, trainings=4, nesterov=False,
    ),
    "hierarchical-final": Recipe(
        epochs=410, batch_size=256, learning_rate=0.1, weight_decay=3e-4, schedule="step", milestones=(205, 307, 358),
        crop=4, flip=True, nesterov=False,
    ),
    # Real et al. 2017, section 3: 25,600 steps of 50 images on 45,000 images; the learning rate is the genome's and
    # constant. The augmentation is that of residual networks.
    "large-scale": Recipe(
        epochs=28, batch_size=50, learning_rate=0.1, weight_decay=1e-4, schedule="constant", crop=4, flip=True,
        nesterov=False,
    ),
    # Dong et al. 2018. The paper states neither weight decay nor augmentation; these are those of CondenseNet (Huang et
    # al. 2018, published code).
    "dpp-net": Recipe(epochs=10, batch_size=256, learning_rate=0.1, weight_decay=1e-4, crop=4, flip=True),
    # Baker et al. 2017, section 5: the learning rate is divided by 5 after every 5 epochs. Their Xavier initialisation
    # is not used here.
    "metaqnn": Recipe(
        epochs=20, batch_size=128, optimizer="adam", learning_rate=1e-3, weight_decay=0.0, schedule="step",
        milestones=(5, 10, 15), gamma=0.2, flip=True, restarts=5,
    ),
    # Zhong et al. 2018, section 5.1
    "block-qnn": Recipe(
        epochs=12, batch_size=256, optimizer="adam", learning_rate=1e-3, weight_decay=0.0, schedule="step",
        milestones=(5, 10), gamma=0.2, restarts=3,
    ),
    # Zoph et al. 2018, section 4.1: cosine over 20 epochs; the paper states neither rate nor batch size of the search
    "nasnet": Recipe(
        epochs=20, batch_size=128, learning_rate=0.025, weight_decay=5e-4, crop=4, flip=True, clip_norm=5,
        nesterov=False,
    ),
    # Zoph and Le 2017, section 4.1; batch size and schedule of the search are not stated. The reward is based on the
    # best of the last five epochs.
    "nas-rl": Recipe(
        epochs=50, batch_size=128, learning_rate=0.1, weight_decay=1e-4, schedule="constant", crop=4, flip=True,
        best_of=5,
    ),
    # Tan et al. 2019, section 5, and published code: 0.016 per 256 images, multiplied by 0.97 every 2.4 epochs (here by
    # 0.97^5 every 12), without the moving average of the weights and Inception's crops.
    "mnasnet": Recipe(
        epochs=5, batch_size=256, optimizer="rmsprop", learning_rate=0.016, weight_decay=1e-5, schedule="step",
        milestones=tuple(range(12, 350, 12)), gamma=0.97**5, crop=28, flip=True, label_smoothing=0.1,
    ),
    # Lu et al. 2019, published code: the trainings of the search
    "nsga-net": Recipe(
        epochs=25, batch_size=128, learning_rate=0.025, weight_decay=3e-4, crop=4, flip=True, clip_norm=5,
        nesterov=False, by_epoch=True,
    ),
    # He et al. 2016 (arXiv:1512.03385), section 4.2: 64,000 steps of 128 images, rate / 10 after 32,000 and 48,000
    "resnet-cifar": Recipe(
        epochs=164, batch_size=128, learning_rate=0.1, weight_decay=1e-4, schedule="step", milestones=(82, 123),
        crop=4, flip=True, nesterov=False,
    ),
}  # fmt: skip
