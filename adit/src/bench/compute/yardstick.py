"""How many instructions a second numpy runs of the bench's programs: one call for each instruction and row, in float32."""

import json
import re
import sys
import time

import numpy as np

DIM, TRAIN, VALID = 16, 256, 256
LINE = re.compile(r"(\w+) = (?:(\w+)\((.*)\)|(\S+) ([-+*/]) (\S+)|(\S+))$")
BINARY = {"+": np.add, "-": np.subtract, "*": np.multiply}
CALLS = {
    "dot": lambda a, b: np.float32(np.dot(a, b)),
    "matmul": np.matmul,
    "outer": np.outer,
    "norm": np.linalg.norm,
    "mean": np.mean,
    "std": np.std,
    "abs": np.abs,
    "heaviside": lambda a: (a > 0).astype(np.float32),
}


def read(text):
    phases, phase = {"setup": [], "predict": [], "learn": []}, None
    for line in text.strip().split("\n"):
        line = line.strip()
        if line.startswith("#"):
            phase = line[1:].strip()
            continue
        dest, call, arguments, a, op, b, number = LINE.match(line).groups()
        if call == "gaussian":
            mean, deviation = (float(each) for each in arguments.split(","))
            step = ("draw", (mean, deviation), dest)
        elif call:
            step = (CALLS[call], tuple(each.strip() for each in arguments.split(",")), dest)
        elif op:
            step = (BINARY[op], (a, b), dest)
        else:
            step = ("fill", np.float32(number), dest)
        phases[phase].append(step)
    return phases


def run(steps, memory, rng):
    for call, arguments, dest in steps:
        if call == "fill":
            memory[dest] = arguments
        elif call == "draw":
            memory[dest] = rng.normal(*arguments, (DIM, DIM)).astype(np.float32)
        else:
            memory[dest] = call(*(memory[each] for each in arguments))


def evaluate(phases, rows, labels):
    memory = {f"s{at}": np.float32(0) for at in range(20)}
    memory |= {f"v{at}": np.zeros(DIM, np.float32) for at in range(10)}
    memory |= {f"m{at}": np.zeros((DIM, DIM), np.float32) for at in range(5)}
    rng = np.random.default_rng(1)
    run(phases["setup"], memory, rng)
    for at in range(TRAIN):
        memory["v0"] = rows[at]
        run(phases["predict"], memory, rng)
        memory["s1"] = labels[at]
        run(phases["learn"], memory, rng)
        memory["s1"] = np.float32(0)
    for at in range(TRAIN, TRAIN + VALID):
        memory["v0"] = rows[at]
        run(phases["predict"], memory, rng)
    setup, predict, learn = (len(phases[name]) for name in ("setup", "predict", "learn"))
    return setup + predict * (TRAIN + VALID) + learn * TRAIN


def main():
    np.seterr(all="ignore")
    programs = [read(text) for text in json.loads(sys.argv[1])]
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(TRAIN + VALID, DIM)).astype(np.float32)
    labels = (rows.sum(axis=1) > 0).astype(np.float32)
    count, began = 0, time.thread_time()
    while time.thread_time() - began < 3:
        for program in programs:
            count += evaluate(program, rows, labels)
    print(count / (time.thread_time() - began))


main()
