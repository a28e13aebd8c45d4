#!/usr/bin/env python3
"""Writes the images of a draw, in its order, as a smaller CIFAR-100 in the binary format.

  ride-data draw --dataset cifar100 --data DIR | cut_cifar.py DIR/train.bin OUT/train.bin

Reads `index label` lines; with imbalance=1 the smaller set is the drawn one. Standard library only.
"""
import sys

RECORD = 2 + 3 * 32 * 32  # coarse label, fine label, pixels


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as target:
        for line in sys.stdin:
            index, label = map(int, line.split())
            source.seek(index * RECORD)
            record = source.read(RECORD)
            if len(record) != RECORD or record[1] != label:
                sys.exit(f"{sys.argv[1]}: image {index} is not one of class {label}: another version of the set?")
            target.write(record)


if __name__ == "__main__":
    main()
