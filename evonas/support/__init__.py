"""What everything else stands on: files, named streams of randomness, a stopwatch, the device."""
