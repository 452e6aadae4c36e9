"""What networks learn: a task has the data with their splits, the head in which a network ends, loss and metrics.

task.py             what every task and every metric says of itself
splits.py           the data as tensors on the device
images.py           tasks whose inputs are images; augmentation.py changes them at random
classification.py   image classification, the task that evonas ships
"""
