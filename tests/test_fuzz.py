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
from jaxcliff.auditing.roles import roles_of
from jaxcliff.auditing.rows import load
from jaxcliff.auditing.sources import opened
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


def check(mdp, rewards=None, names=()):
    """What was read is a whole problem."""
    assert np.isfinite(mdp.reward).all()
    assert mdp.labels.misfit(mdp.num_states, mdp.num_actions) is None
    if rewards is not None:
        assert rewards.shape == (len(names), *mdp.reward.shape)
        assert np.isfinite(rewards).all()
        assert len(mdp.labels.states) == mdp.num_states


def as_problem(path):
    """By the command line, which says what is wrong in a sentence."""
    read = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "write", lambda subject, *_, **__: read.append(check(subject.mdp)))
        out, said = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            status = cli.main(["atlas", str(path), "--out", str(path.parent / "atlas")])
    assert status == (0 if read else 2), said.getvalue()
    if not read:
        assert said.getvalue().startswith("jaxcliff: ")
        raise ValueError(said.getvalue().removeprefix("jaxcliff: ").rstrip("\n"))


def as_scores(path):
    scores = jc.problems.from_scores(path)
    check(scores.mdp, scores.rewards, scores.names)


def as_audit(path):
    """As far as an audit reads it."""
    with opened(path) as source:
        loaded = load(source, roles_of(source), chosen=False)
        assert np.isfinite(loaded.spread).all()
        assert sum(int(batch.present.sum()) for batch in loaded.batches()) == loaded.sizes.sum()


def fuzz(kind, count, seed, folder, readers):
    """How many damaged files of a kind were read, and how many were refused."""
    read = 0
    rng = random.Random(seed)
    sounds = list(problems(folder)) if kind == "npz" else [text.encode() for text in tables()[kind]]
    path = folder / f"damaged.{kind}"
    for number in range(count):
        sound = sounds[number % len(sounds)]
        data = archive(sound, rng) if kind == "npz" else damaged(sound, rng)
        path.write_bytes(data)
        try:
            readers[number % len(readers)](path)
            read += 1
        except (ValueError, OSError) as error:
            said = " ".join(str(error).split())
            assert 16 < len(said) < 2000, said
        except BaseException as error:
            kept = folder / f"trace.{kind}"
            kept.write_bytes(data)
            raise AssertionError(f"number {number} of seed {seed} ended in a stack trace; see {kept}") from error
    return read, count - read


READERS = {"npz": (as_problem,)} | dict.fromkeys(("csv", "jsonl", "json"), (as_scores, as_scores, as_scores, as_audit))


@pytest.mark.parametrize(("kind", "count"), [("csv", 600), ("jsonl", 400), ("json", 400), ("npz", 600)])
def test_damaged_files_end_in_no_stack_trace(kind, count, tmp_path):
    read, refused = fuzz(kind, count, 0, tmp_path, READERS[kind])
    assert min(read, refused) > count // 50


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("csv", 35_000), ("jsonl", 20_000), ("json", 20_000), ("npz", 30_000)])
def test_a_hundred_thousand_damaged_files_end_in_no_stack_trace(kind, count, tmp_path):
    read, refused = fuzz(kind, count, 1, tmp_path, READERS[kind])
    print(f"{kind}: {count:,} damaged files, {read:,} read, {refused:,} refused")
    assert min(read, refused) > count // 50
