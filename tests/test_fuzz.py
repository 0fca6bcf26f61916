"""No file ends in a stack trace: damaged tables and problems are read, or refused with a sentence."""

import contextlib
import io
import json
import random
import warnings
import zipfile

import jax
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.cli import main as cli
from jaxcliff.report import atlas as report
from tests.conftest import needs_x64

pytestmark = needs_x64

CSV = """,context,action,helpful,safe,base_logprob,note

0,"Is it
safe?",yes,0.9,1,-0.5,x
1,"Is it
safe?",no,0.2,8,-1.5,y

2,"Greet, ""please"" now",hello,5e-1,2,-2.0,日本
3,"Greet, ""please"" now",yes,.1,2,-2.0,$x$
"""
ROWS = [
    {"context": "q", "action": "a", "rm": 0.5, "other": 2, "base_logprob": -1.0},
    {"context": "q", "action": "b", "rm": 1.5, "other": 0, "base_logprob": -900},
    {"context": "p \u2028", "action": 3, "rm": -2e-3, "other": 1, "base_logprob": 0},
]
# What damages a text more than a random byte does.
TOKENS = (
    *(b"nan NaN inf -Infinity null None true 1e400 -1e-400 1+2j 1_0 0x10 -0 00 '' \\ud800 \\u0000 _ $ ".split(b" ")),
    *(b'" "" , ; : { } [ ] [] {} \\ \xff \xef\xbb\xbf \xe2\x80\xa8 \xed\xa0\x80 \xe6\x97\xa5'.split(b" ")),
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b"\x00", b" ", b"context", b"Unnamed: 0", b"id", b'"rm": 1, '),
    *(b"[" * 2000, b"9" * 5000, b"x" * 10_000, b'"context": null, '),
)
NAMES = ("reward", "rewards", "Reward", "discount", "probabilities", "successors", "tree", "legal", "positions", "x")
DTYPES = ("f4", ">f8", "f2", "g", "i4", "u1", "?", "c16", "U3", "S2", "M8[s]", "f8", "i8")
VALUES = (np.nan, np.inf, -np.inf, -1, 0, 1, 2, 0.5, 1e-310, 1e300, 2**62, -(2**31), 1e9)


def tables():
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    return {"csv": [CSV], "jsonl": [lines], "json": [json.dumps(ROWS), json.dumps(columns, indent=1)]}


def problems(folder):
    """The arrays of one problem of every kind."""
    chain = jc.problems.from_gymnasium({0: {0: [(0.5, 0, 1.0, False), (0.5, 1, 0.0, True)]}, 1: {0: []}}, 0.9)
    grid = jc.problems.gridworld(("S.G", ".#."), discount=0.9)
    dense = jc.problems.from_arrays([[[0.5, 0.5]], [[0.0, 1.0]]], [[1.0], [0.0]], discount=0.5)
    kinds = (chain, grid, dense, jc.problems.token_tree(jax.random.key(0), vocabulary=2, depth=2))
    for mdp in (*kinds, jc.problems.from_scores(ROWS, models="rm").mdp):
        jc.problems.save(mdp, folder / "sound.npz")
        yield dict(np.load(folder / "sound.npz"))


def damaged(data, rng):
    """Bytes of which a few are deleted, doubled, moved, changed, or replaced by a token."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        i = rng.randrange(len(data) + 1)
        j = min(len(data), i + rng.choice((1, 1, 2, 5, 20, 100)))
        token = rng.choice(TOKENS)
        match rng.randrange(8):
            case 0:
                data = data[:i] + data[j:]
            case 1:
                data = data[:i] + data[i:j] * 2 + data[j:]
            case 2:
                data = data[:i]
            case 3:
                data = data[j:] + data[i:j] + data[:i]
            case 4:
                data = data[:i] + bytes([rng.randrange(256)]) + data[i + 1 :]
            case 5:
                data = data[:i] + token + data[i:]
            case 6:
                data = data[:i] + token + data[j:]
            case 7:
                data = data[:i] + data[i:j].swapcase() + data[j:]
    return data


def changed(arrays, rng):
    """Arrays of which one is renamed, missing, doubled, of another type or shape, or has another value in it."""
    arrays = dict(arrays)
    name = rng.choice(list(arrays))
    array = arrays[name]
    match rng.randrange(7):
        case 0:
            arrays[rng.choice(NAMES)] = arrays.pop(name)
        case 1:
            del arrays[name]
        case 2:
            arrays[rng.choice(NAMES)] = array
        case 3:
            with warnings.catch_warnings(action="ignore"), contextlib.suppress(ValueError):
                arrays[name] = array.astype(np.dtype(rng.choice(DTYPES)))
        case 4:
            arrays[name] = rng.choice(
                (array[None], array.ravel(), array.ravel()[:0], array.T, np.atleast_1d(array)[:-1])
            )
        case 5:
            arrays[name] = np.repeat(array[None] if array.ndim == 0 else array, 2, axis=0)
        case 6 if array.size and array.dtype.kind in "biuf":
            array = array.copy()
            value = rng.choice(VALUES)
            if array.dtype.kind in "biu":
                value = np.int64(value) if np.isfinite(value) and abs(value) < 2**63 else 7
            with np.errstate(all="ignore"):
                array.flat[rng.randrange(array.size)] = np.asarray(value).astype(array.dtype)
            arrays[name] = array
    return arrays


def packed(arrays, rng, harm):
    """The arrays as the bytes of an archive whose parts are sound zip, and one of which may be no sound array."""
    file, hurt = io.BytesIO(), rng.choice(list(arrays)) if harm and arrays else None
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.asarray(array), allow_pickle=False)
            archive.writestr(f"{name}.npy", damaged(part.getvalue(), rng) if name == hurt else part.getvalue())
    return file.getvalue()


def archive(sound, rng):
    match rng.randrange(4):
        case 0:
            return damaged(packed(sound, rng, False), rng)
        case 1:
            return packed(sound, rng, True)
        case 2:
            return packed(changed(sound, rng), rng, False)
    return packed(changed(changed(sound, rng), rng), rng, False)


def check(subject):
    """What was read is a whole problem."""
    mdp = subject.mdp
    assert np.isfinite(mdp.reward).all()
    assert mdp.labels.misfit(mdp.num_states, mdp.num_actions) is None
    if subject.rewards is not None:
        assert subject.rewards.shape == (len(subject.names), *mdp.reward.shape)
        assert np.isfinite(subject.rewards).all()
        assert len(mdp.labels.states) == mdp.num_states


def fuzz(kind, count, seed, folder, monkeypatch, capsys):
    """How many damaged files of a kind were read, and how many were refused."""
    read = []
    monkeypatch.setattr(report, "write", lambda subject, *_, **__: read.append(check(subject)))
    rng = random.Random(seed)
    sounds = list(problems(folder)) if kind == "npz" else [text.encode() for text in tables()[kind]]
    path = folder / f"damaged.{kind}"
    for number in range(count):
        sound = sounds[number % len(sounds)]
        data = archive(sound, rng) if kind == "npz" else damaged(sound, rng)
        path.write_bytes(data)
        before = len(read)
        try:
            status = cli.main(["atlas", str(path), "--out", str(folder / "atlas")])
        except BaseException as error:
            kept = folder / f"trace.{kind}"
            kept.write_bytes(data)
            raise AssertionError(f"number {number} of seed {seed} ended in a stack trace; see {kept}") from error
        said = capsys.readouterr().err
        assert status == (2 if len(read) == before else 0), said
        if status:
            assert said.startswith("jaxcliff: "), said
            assert said.count("\n") == 1, said
            assert 20 < len(said) < 2000, said
    return len(read), count - len(read)


@pytest.mark.parametrize(("kind", "count"), [("csv", 600), ("jsonl", 400), ("json", 400), ("npz", 600)])
def test_damaged_files_end_in_no_stack_trace(kind, count, tmp_path, monkeypatch, capsys):
    read, refused = fuzz(kind, count, 0, tmp_path, monkeypatch, capsys)
    assert min(read, refused) > count // 50


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("csv", 35_000), ("jsonl", 20_000), ("json", 20_000), ("npz", 30_000)])
def test_a_hundred_thousand_damaged_files_end_in_no_stack_trace(kind, count, tmp_path, monkeypatch, capsys):
    read, refused = fuzz(kind, count, 1, tmp_path, monkeypatch, capsys)
    print(f"{kind}: {count:,} damaged files, {read:,} read, {refused:,} refused")
    assert min(read, refused) > count // 50
