"""Tables and files that are not what they seem, and words that are not ours."""

import contextlib
import io
import json
import pathlib
import tempfile
import types
import zipfile
from collections.abc import Callable
from typing import Any

import gymnasium
import jax
import matplotlib as mpl
import numpy as np
import scipy.sparse

import jaxcliff as jc
from jaxcliff.cli import main as cli
from jaxcliff.figures import style
from tests.hostile import Row

HEAD = "context,action,rm\n"
TABLE = {"context": ["p", "p", "q", "q"], "action": ["a", "b", "a", "b"], "rm": [0.5, 1.5, -0.25, 2.0]}
NAMES = (r"$\text{if} x^$", "W" * 10_000, "_hidden", "日本語", "a\nb\0c", "$", "\\$_{", "", "\ud83d", "% & # ~ ^ {")


def in_file(name: str, content: str | bytes, read: Callable[[Any], Any] = jc.problems.from_scores) -> Callable[[], Any]:
    """Reads a file of this name and content."""

    def do() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / name
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            return read(path)

    return do


def table(**columns: Any) -> Callable[[], Any]:
    """Reads a sound table with these columns more, or instead."""
    return lambda: jc.problems.from_scores(TABLE | columns)


def named(rewards: Any, **columns: Any) -> Callable[[], Any]:
    return lambda: jc.problems.from_scores(TABLE | columns, models=rewards)


def out(reason: str, name: str, *taken: str) -> Callable[[Any], bool]:
    """Whether a column was left out for this reason, and which were taken."""
    return lambda scores: reason in scores.left_out[name] and scores.names == (taken or ("rm",))


def archive(**arrays: Any) -> Callable[[], Any]:
    """Loads an .npz of a bandit with these arrays more, or instead; None leaves one out."""
    arrays = {"reward": np.array([[1.0, 0.5]])} | arrays
    file = io.BytesIO()
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    return in_file("p.npz", file.getvalue(), jc.problems.load)


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def parts(**members: bytes) -> Callable[[], Any]:
    """Loads an .npz with these bytes for arrays."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        for name, content in members.items():
            opened.writestr(f"{name}.npy", content)
    return in_file("p.npz", file.getvalue(), jc.problems.load)


def gym(*entries: Any, **more: Any) -> Callable[[], Any]:
    """Reads a Gymnasium table of one state with these transitions."""
    environment = types.SimpleNamespace(P={0: {0: list(entries)}}, **more)
    return lambda: jc.problems.from_gymnasium(environment, 0.9)


def run(*arguments: str, before: Callable[[pathlib.Path], Any] | None = None) -> Callable[[], Any]:
    """The command line in an empty folder (or in one that was made up `before`), its errors raised."""

    def do() -> Any:
        said = io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stderr(said):
            if before is not None:
                before(pathlib.Path(folder))
            status = cli.main(["atlas", *arguments])
        if status:
            raise ValueError(said.getvalue())
        return status

    return do


def an_atlas(folder: pathlib.Path) -> None:
    (folder / "atlas").mkdir()
    (folder / "atlas/README.txt").write_text("fork: MDP(2 actions, 1 state)\nProblem 0123456789ab\n\nTies: none.\n")


def a_readme(folder: pathlib.Path) -> None:
    (folder / "README.txt").write_text("My own notes.\n")


def drawn(figure: Callable[[], Any]) -> Callable[[], Any]:
    """Draws a figure to the last pixel; how far it runs over its page, and the texts in it."""

    def do() -> Any:
        made = figure()
        made.savefig(io.BytesIO(), format="png", dpi=50)
        made.savefig(io.BytesIO(), format="pdf")
        boxes = [axes.get_tightbbox() for axes in made.axes]
        over = max(max(-b.x0, -b.y0, b.x1 - made.bbox.x1, b.y1 - made.bbox.y1) for b in boxes)
        return over, [text.get_text() for text in made.findobj(mpl.text.Text)]

    return do


def scores_with(names: Any, models: int = 3) -> Any:
    """Two contexts with these names for their answers, and models with these names."""
    rng = np.random.default_rng(0)
    cells = [(f"{names[c % len(names)]} {c}", f"{names[a % len(names)]}{a}") for c in range(2) for a in range(3)]
    columns = {f"{names[m % len(names)]}{'.' * (m // len(names))}": rng.normal(size=6) for m in range(models)}
    return jc.problems.from_scores(
        {"context": [c for c, _ in cells], "action": [a for _, a in cells]} | columns, models=list(columns)
    )


def stability(names: Any, models: int = 3) -> Callable[[], Any]:
    def figure() -> Any:
        scores = scores_with(names, models)
        key = jax.random.key(0)
        ds = jc.studies.aggregation_stability(
            scores.mdp, scores.rewards, key=key, count=2, sizes=[1.0], names=scores.names
        )
        return jc.figures.aggregation_stability(ds)

    return drawn(figure)


def flips(names: Any) -> Callable[[], Any]:
    def figure() -> Any:
        ds = jc.studies.flip_frequency(scores_with(names).mdp, key=jax.random.key(0), count=2)
        return jc.figures.flip_frequency(ds)

    return drawn(figure)


def soft(names: Any) -> Callable[[], Any]:
    return drawn(lambda: jc.figures.soft_against_hard(jc.studies.soft_against_hard(scores_with(names).mdp)))


def fits(*words: str) -> Callable[[Any], bool]:
    """Whether a figure is within its page and shows these texts, as they are drawn."""
    return lambda found: found[0] <= 1 and all(any(word in text for text in found[1]) for word in words)


def unequal() -> dict[str, Any]:
    """One prompt with 20,000 answers, and 20,000 prompts with one."""
    many = [str(i) for i in range(20_000)]
    scores = np.random.default_rng(0).normal(size=40_000)
    return {"context": ["many"] * 20_000 + many, "action": many + ["one"] * 20_000, "rm": scores}


def mask(values: Any, *places: int) -> Any:
    return np.ma.array(values, mask=[i in places for i in range(len(values))])


LONG = "x" * 200_000
ROWS: list[Row] = [
    # Columns of a table: what is a reward model.
    Row(
        "an index without a name", in_file("t.csv", ",context,action,rm\n0,q,a,1\n1,q,b,3\n"), finds=out("no name", "")
    ),
    Row("an index as pandas reads it back", table(**{"Unnamed: 0": [0, 1, 2, 3]}), finds=out("no name", "Unnamed: 0")),
    Row("an index with a name of its own", table(n=[0, 1, 2, 3]), finds=out("counts rows", "n")),
    Row("an index from one", table(n=["1", "2", "3", "4"]), finds=out("counts rows", "n")),
    Row("a column called index", table(index=[7, 3, 9, 1]), finds=out("numbers things", "index")),
    Row("a column called id", table(id=[7.5, 3, 9, 1]), finds=out("numbers things", "id")),
    Row("an id of something", table(prompt_id=[7, 7, 9, 9]), finds=out("numbers things", "prompt_id")),
    Row("an id in camel case", table(rowId=[7, 7, 9, 1]), finds=out("numbers things", "rowId")),
    Row("a word that ends like id", table(valid=[7, 7, 9, 1]), finds=lambda s: s.names == ("rm", "valid")),
    Row("a constant", table(version=[2, 2, 2, 2]), finds=out("the same", "version")),
    Row("a number per context", table(length=[2, 2, 5, 5]), finds=out("the same", "length")),
    Row("text", table(note=["x", "y", "z", "w"]), finds=out("text, such as 'x'", "note")),
    Row("numbers as text", table(rm=["0.5", " 1.5", "1e-3", "-2"]), finds=lambda s: s.names == ("rm",)),
    Row("decimal commas", table(rm=["0,5", "1,5", "0,1", "2,0"]), says="'rm' (it is text, such as '0,5')"),
    Row("digits with an underscore", named("rm", rm=["1_0", "2", "3", "4"]), says="row 0: rm is '1_0'"),
    Row("dates", table(day=np.array(["2020-01-01"] * 4, "M8[D]") + np.arange(4)), finds=out("text", "day")),
    Row("a column with nothing in it", table(note=["", None, " ", ""]), finds=out("empty", "note")),
    Row("an index that is named", named(["n"], n=[0, 1, 2, 3]), finds=lambda s: s.names == ("n",)),
    Row("a constant that is named", named(["rm", "c"], c=[1, 1, 1, 1]), finds=lambda s: s.names == ("rm", "c")),
    Row("text that is named", named(["rm", "n"], n=["x", "1", "2", "3"]), says="row 0: n is 'x'; a score must be"),
    Row("only an index", lambda: jc.problems.from_scores({**TABLE, "rm": [0, 1, 2, 3]}), says="counts rows"),
    Row("one bad cell", table(rm=["1", "2", "3", "n/a"]), says="row 3: rm is 'n/a'; a score must be a finite number"),
    Row("one empty cell", table(rm=[1, 2, None, 4]), says="row 2: rm is empty"),
    Row("a score that is no number at all", table(rm=[1.0, np.nan, 2.0, 3.0]), says="row 1: rm is nan"),
    Row("a score without end", table(rm=[1.0, 10**400, 2.0, 3.0]), says="a score must be a finite number"),
    Row("a complex score", table(rm=[1.0, 2 + 1j, 2.0, 3.0]), says="row 1: rm is (2+1j)"),
    Row("complex scores as an array", table(rm=np.array([1, 2, 3, 4j])), says="rm is"),
    Row("masked scores", table(rm=mask([1.0, 2.0, 3.0, 4.5], 2)), says="row 2: rm is empty"),
    Row("a mask that hides nothing", table(rm=mask([1.0, 2.0, 3.0, 4.5])), finds=lambda s: s.rewards[0, 1, 1] == 4.5),
    Row("a misspelt reward", named(["helpfull"]), says="the table has no column 'helpfull'; its columns are"),
    Row("a reward twice", named(["rm", "rm"]), says="the column 'rm' is given two parts"),
    Row("the context as a reward", named(["context"]), says="the column 'context' is given two parts"),
    Row("no reward at all", named([]), says="no column of scores"),
    Row("rewards that are a number", named(3), says="rewards are names of columns"),
    Row(
        "a misspelt base",
        lambda: jc.problems.from_scores(TABLE, base_logprob="logp"),
        says="the table has no column 'logp'",
    ),
    # Rows of a table.
    Row("no context", table(context=["p", "p", None, "q"]), says="row 2: context is None; every row needs one"),
    Row("two contexts that are no number", table(context=[np.nan, np.nan, "q", "q"]), says="row 0: context is nan"),
    Row("a masked context", table(context=mask(["p", "p", "q", "q"], 3)), says="row 3: context is None"),
    Row("an empty context", in_file("t.csv", HEAD + "q,a,1\n,a,2\n"), says="t.csv, line 3: context is empty"),
    Row("an empty answer", table(action=["a", "", "a", "b"]), says="row 1: action is empty; every row needs one"),
    Row("a column of one value", table(action="abcd"), says="column 'action' must be a list with one value per row"),
    Row("a column of two axes", table(rm=np.ones((4, 1))), says="column 'rm' must be a list with one value per row"),
    Row("columns of columns", in_file("t.json", json.dumps({"context": {"0": "q"}})), says="'context' must be a list"),
    Row(
        "very unequal contexts",
        lambda: jc.problems.from_scores(unequal()),
        says="20,001 contexts with up to 20,000 answers, 40,000 in all, would need",
    ),
    Row(
        "very unequal contexts in several tables",
        lambda: jc.problems.from_ragged_scores(unequal()),
        finds=lambda found: [s.mdp.reward.shape for s in found] == [(20_000, 1), (1, 20_000)],
    ),
    # The base policy.
    Row("tiny probabilities", table(base_logprob=[-900, -901, -1, -900]), finds=lambda s: (s.base > 0).all()),
    Row("a log-probability above 0", table(base_logprob=[0.5, -1, -1, -1]), says="row 0: base_logprob is 0.5"),
    Row("a log-probability that is none", table(base_logprob=[-1, "x", -1, -1]), says="row 1: base_logprob is 'x'"),
    # Lines of files.
    Row("blank lines", in_file("t.csv", HEAD + "\nq,a,1\n\n\nq,b,oops\n"), says="t.csv, line 6: rm is 'oops'"),
    Row("cells of several lines", in_file("t.csv", HEAD + '"q\n\n1",a,1\nq,b,oops\n'), says="t.csv, line 5: rm"),
    Row(
        "a bad cell after a cell of two lines",
        in_file("t.csv", HEAD + 'q,"a\nb",oops\nq,c,1\n'),
        says="t.csv, line 2: rm",
    ),
    Row("a short row", in_file("t.csv", HEAD + "\nq,a\n"), says="t.csv, line 3: the row does not have the columns"),
    Row("a long row", in_file("t.csv", HEAD + "q,a,1,2\n"), says="it has 4 cells"),
    Row("a quote that is not closed", in_file("t.csv", HEAD + 'q,"a,1\nq,b,2\n'), says="t.csv, line 2: not CSV"),
    Row(
        "a cell of many characters",
        in_file("t.csv", HEAD + f"{LONG},a,1\n{LONG},b,3\n"),
        finds=lambda s: s.mdp.num_actions == 2,
    ),
    Row("a header twice", in_file("t.csv", "context,action,rm,rm\nq,a,1,2\n"), says="two columns named 'rm'"),
    Row("a header alone", in_file("t.csv", HEAD), says="the table has no rows"),
    Row("no bytes", in_file("t.csv", b""), says="the table has no rows"),
    Row("UTF-16", in_file("t.csv", (HEAD + "q,a,1\n").encode("utf-16")), says="t.csv is not UTF-8 text"),
    Row(
        "another ending",
        in_file("t.xlsx", "PK"),
        says="a table of scores is a .csv, .jsonl or .json file, not 't.xlsx'",
    ),
    Row("capital endings", in_file("T.CSV", HEAD + "q,a,1\nq,b,3\n"), finds=lambda s: s.names == ("rm",)),
    Row("JSON too deep", in_file("t.json", "[" * 100_000), says="t.json is no JSON"),
    Row("a number of many digits", in_file("t.json", "[" + "9" * 5000 + "]"), says="t.json is no JSON"),
    Row("a list of lists", in_file("t.json", "[[1, 2]]"), says="t.json is no table"),
    Row(
        "a name twice in JSON",
        in_file("t.jsonl", '{"rm": 1, "rm": 2}'),
        says="t.jsonl, line 1: not JSON (the name 'rm'",
    ),
    Row(
        "half a letter in JSON",
        in_file("t.jsonl", '{"context": "\\ud83d", "action": "a", "rm": 1}'),
        finds=lambda s: s.mdp.labels.states == ("\\ud83d",),
    ),
    Row(
        "a row of JSON that lacks a name",
        in_file("t.jsonl", '{"context": "q", "action": "a", "rm": 1}\n\n{"context": "q", "rm": 1}'),
        says="t.jsonl, line 3: the row does not have the columns",
    ),
    # Problems in files.
    Row("a misspelt entry", archive(reward=None, rewards=np.ones((1, 2))), says="did you mean 'reward'?"),
    Row(
        "an entry too many",
        archive(discont=np.array(0.9)),
        says="p.npz holds 'discont', which is no part of a problem: did you mean 'discount'?",
    ),
    Row("an entry of another world", archive(weights=np.ones(3)), says="p.npz holds 'weights', which is no part"),
    Row("a capital entry", archive(Legal=np.ones((1, 2), bool)), says="did you mean 'legal'?"),
    Row(
        "complex rewards in a file", archive(reward=np.array([[1j, 2]])), says="the reward must be real, not complex128"
    ),
    Row(
        "rewards that are text", archive(reward=np.array([["a", "b"]])), says="reward in p.npz must be numbers, not <U1"
    ),
    Row("rewards in a line", archive(reward=np.ones(3)), says="reward in p.npz has shape [3]; it must have 2 axes"),
    Row(
        "rewards of another byte order",
        archive(reward=np.array([[1.0, 2.0]], ">f8")),
        finds=lambda mdp: mdp.reward[0, 1] == 2,
    ),
    Row(
        "a tree without end",
        archive(reward=np.ones((3, 2)), tree=np.array([2, 2**40, 0])),
        says="has other states than the 3 of reward",
    ),
    Row("a tree of two numbers", archive(tree=np.array([2, 1])), says="tree in p.npz must be a vocabulary"),
    Row(
        "two kinds of transitions",
        archive(tree=np.array([2, 1, 0]), probabilities=np.ones((1, 2, 1))),
        says="transitions of one kind",
    ),
    Row(
        "positions outside",
        archive(positions=np.array([[-1, 0]])),
        says="positions in p.npz must be a row and a column",
    ),
    Row(
        "a .npy called .npz",
        in_file("p.npz", npy(np.ones(3)), jc.problems.load),
        says="not a .npz file of plain arrays",
    ),
    Row("an array that is cut off", parts(reward=npy(np.ones((3, 2)))[:-9]), says="not a .npz file of plain arrays"),
    Row(
        "an array of letters that do not exist",
        parts(reward=npy(np.ones((1, 2))), state_names=npy(np.array(["ab"])).replace(b"a\0\0\0", b"\xff\xff\xff\xff")),
        says="characters that do not exist",
    ),
    Row(
        "an array too large for any machine",
        parts(reward=npy(np.ones((3, 2))).replace(b"(3, 2), }     ", b"(9999999999, 2)}")),
        says="not a .npz file",
    ),
    # Arrays.
    Row("complex probabilities", lambda: jc.Dense(np.full((2, 1, 2), 0.5 + 0j)), says="must be real, not complex128"),
    Row(
        "a complex discount",
        lambda: jc.MDP(jc.Dense(np.ones((1, 1, 1))), [[1.0]], 0.5j),
        says="the discount must be real",
    ),
    Row("a complex start", lambda: jc.MDP(None, [[1.0, 2.0]], initial=[1 + 0j]), says="initial must be real"),
    Row(
        "complex sparse matrices",
        lambda: jc.problems.from_arrays([scipy.sparse.eye_array(2) * 1j], np.ones((2, 1)), 0.9),
        says="the matrix of action 0 must be real",
    ),
    Row(
        "complex values",
        lambda: jc.inverse_bellman(jc.problems.bandit([1.0, 2.0]), [[1j, 2]]),
        says="q_values must be real",
    ),
    Row(
        "complex rewards of a batch",
        lambda: jc.solve(jc.problems.bandit([1.0, 2.0]), np.ones((3, 1, 2)) * 1j),
        says="must be real",
    ),
    Row(
        "a complex direction",
        lambda: jc.cliffs_along(jc.problems.bandit([1.0, 2.0]), None, np.array([[1j, 0]]), stop=1.0),
        says="must be real",
    ),
    Row(
        "complex rewards around a cliff",
        lambda: jc.nearest_cliff(jc.problems.bandit([1.0, 2.0]), np.array([[1j, 0]])),
        says="must be real",
    ),
    Row(
        "a complex family",
        lambda: jc.family.features(np.ones((1, 1, 2)) * 1j),
        says="the rewards of a family must be real",
    ),
    Row("complex weights", lambda: jc.aggregate.constant([0.5 + 0j, 0.5]), says="weights must be real"),
    Row("a complex base", lambda: jc.KL(1.0, np.array([[0.5, 0.5j]])), says="a base policy must be real"),
    Row(
        "a masked reward",
        lambda: jc.MDP(None, np.ma.array([[1.0, 2.0]], mask=[[True, False]])),
        says="1 entry of the reward is masked",
    ),
    Row(
        "a masked reward in a list",
        lambda: jc.MDP(None, [np.ma.array([1.0, 2.0], mask=[True, False])]),
        says="1 entry of the reward is masked",
    ),
    Row(
        "masked probabilities",
        lambda: jc.problems.from_arrays(np.ma.masked_less(np.full((2, 1, 2), 0.5), 1), np.ones((2, 1)), 0.9),
        says="4 entries of probabilities are masked",
    ),
    Row(
        "a reward whose mask hides nothing",
        lambda: jc.MDP(None, np.ma.array([[1.0, 2.0]])),
        finds=lambda mdp: mdp.reward[0, 1] == 2,
    ),
    Row(
        "rewards that are words",
        lambda: jc.MDP(None, np.array([["a", "b"]])),
        says="the reward must be an array of numbers",
    ),
    # Gymnasium.
    Row(
        "a probability below 0",
        gym((1.5, 0, 0.0, False), (-0.5, 0, 0.0, False)),
        says="transition 0 of state 0, action 0 of the table has the probability 1.5",
    ),
    Row(
        "a negative probability",
        gym((-0.5, 0, 0.0, False), (1.0, 0, 0.0, False)),
        says="has the probability -0.5; it must lie between 0 and 1",
    ),
    Row(
        "a probability that is no number",
        gym((np.nan, 0, 0.0, False), (1.0, 0, 0.0, False)),
        says="has the probability nan; it must be a finite number",
    ),
    Row("a state between states", gym((1.0, 0.5, 0.0, False)), says="leads to state 0.5"),
    Row("a reward that is no number", gym((1.0, 0, np.nan, False)), says="has the reward nan"),
    Row("a complex reward of a table", gym((1.0, 0, 1j, False)), says="has the reward 1j; it must be a finite number"),
    Row("a transition of three", gym((1.0, 0, 0.0)), says="it must be (probability, next state, reward, done)"),
    Row("an end that is a number", gym((1.0, 0, 0.0, 0.3)), says="has done = 0.3; it must be True or False"),
    Row(
        "an action too few",
        lambda: jc.problems.from_gymnasium({0: {1: [(1.0, 0, 0.0, False)]}}, 0.9),
        says="action 0 is not there",
    ),
    Row(
        "a start for other states",
        gym((1.0, 0, 0.0, False), initial_state_distrib=[0.5, 0.5]),
        says="initial_state_distrib must have one entry",
    ),
    Row(
        "a continuous environment",
        lambda: jc.problems.from_gymnasium(gymnasium.make("CartPole-v1"), 0.9),
        says="has no table",
    ),
    # The command line.
    Row("a problem without a name", run(""), says="the problem must not be empty"),
    Row("a folder without a name", run("fork", "--out", ""), says="--out names the folder to write"),
    Row("two problems", run("fork", "--problem", "grid"), says="one atlas has one problem, not 'fork' and 'grid'"),
    Row(
        "the atlas of another problem",
        run("classic", before=an_atlas),
        says="atlas/ has the atlas of another problem (fork); choose another folder",
    ),
    Row("a README of one's own", run("fork", "--out", ".", before=a_readme), says="README.txt that is of no atlas"),
    Row(
        "a README of one's own, to be replaced",
        run("fork", "--out", ".", "--replace", before=a_readme),
        says="README.txt that is of no atlas",
    ),
    # Words in figures.
    Row("mathematics in a legend", stability([NAMES[0], "b", "c"]), finds=fits("$\\text")),
    Row("ten thousand characters in a legend", stability([NAMES[1], "b", "c"]), finds=fits("WW…WW")),
    Row("hidden names in a legend", stability(["_a", "__b", "c"]), finds=fits("_a", "__b")),
    Row(
        "other scripts in a legend",
        stability(["日本語", "b", "c"]),
        finds=lambda found: fits("日本語")(found) or fits("���")(found),
    ),
    Row("hundreds of models in a legend", stability(["model"], 300), finds=fits("293 more")),
    Row("words of all sorts in a map", flips(NAMES), finds=fits("…")),
    Row("words of all sorts as ticks", soft(NAMES), finds=fits("…")),
    Row(
        "words of all sorts in a message",
        lambda: [
            jc.nearest_cliff(scores_with(NAMES).mdp.replace(reward=r)).summary() for r in np.eye(6).reshape(6, 2, 3)
        ],
        finds=lambda said: max(map(len, said)) < 600 and not any("\0" in text or "\n" in text for text in said),
    ),
    Row("a name that is nothing", lambda: style.words("", 50), finds=lambda text: text == "(no name)"),
]
