"""Packaging of evonas. `genomes/` and `operators/` stand at the top of the repository, where a newcomer looks
for them, and install as `evonas.genomes` and `evonas.operators`."""

from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent

setup(
    name="evonas",
    version="0.1.0",
    description="Neural architecture search as evolutionary computation, on DEAP and PyTorch",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=[*find_packages(include=["evonas", "evonas.*"]), "evonas.genomes", "evonas.operators"],
    package_dir={"evonas.genomes": "genomes", "evonas.operators": "operators"},
    package_data={"evonas": ["py.typed"], "evonas.genomes": ["genotypes.json"]},
    install_requires=[
        "torch>=2.4",
        "torchvision>=0.19",
        "deap>=1.4.2",
        "scoop>=0.7.2,<0.8",  # spreads a run over a cluster
        "moocore>=0.3",  # fronts in C; DEAP brings it too
        "numpy>=1.26",
        "matplotlib>=3.8",
        "scikit-learn>=1.6",  # NASClassifier is an estimator of it; the digits, regressors of learning curves
        "scipy>=1.11",  # least squares of learning curves; scikit-learn brings it too
        "emcee>=3.1",  # the sampler of Domhan et al., by its own authors
        "loky>=3.4",  # local worker processes: a killed worker is reported, and a new pool is to be had
        "cloudpickle>=3",  # of loky: what a script defines travels to workers by value
        "click>=8.1",  # command line: the best kept of its kind, and light to import
        "rich>=13.7",  # progress and tables in the terminal
        "msgspec>=0.18",  # what is read from a run's directory is checked by a schema; quick, and light to import
        "safetensors>=0.4",  # weights that can be opened without trust
    ],
    extras_require={
        "test": [
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",  # two tests at a time: most wait for processes of their own to start
            "hypothesis>=6.100",
            "networkx>=3.2",
            "pandas>=2.1",
            "nbclient>=0.10",  # executes the tutorial
            "nbformat>=5.10",
            "ipykernel>=6.29",
            "nats_bench>=1.8",  # the official API that our converter reads
            "distributed>=2024.1",
            "mpi4py>=4",
            "mpich>=4.2",  # an MPI where the machine has none
            "submitit>=1.5",  # its jobs on this machine stand for Slurm's in quick tests
        ],
        "onnx": ["onnx>=1.16", "onnxscript>=0.1", "onnxruntime>=1.18"],
        "docs": ["sphinx>=8", "myst-parser>=4", "furo>=2024.8", "sphinx-click>=6"],
        "dask": ["distributed>=2024.1"],
        "tensorboard": ["tensorboard>=2.16"],
        "optuna": ["optuna>=4.2", "optuna-dashboard>=0.17"],
        "trackio": ["trackio>=0.2"],
        "wandb": ["wandb>=0.17"],
        "mpi": ["mpi4py>=4"],
        "slurm": ["submitit>=1.5"],  # writes and submits the jobs of Slurm; small, and all of it in Python
        "dev": [
            "ruff>=0.6",
            "mypy>=1.11",
            "import-linter>=2.12",
            "optuna>=4.2",  # the tests of the adapter; as above, without the dashboard
            "tensorboard>=2.16",
            "selenium>=4.20",  # opens a report in Chromium, with the chromedriver of the machine
        ],
    },
    entry_points={"console_scripts": ["evonas = evonas.commands.main:begin"]},
)
