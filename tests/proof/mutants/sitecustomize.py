"""Mutants of survivor: each leaves out, or puts back wrongly, one piece of the state that a resumed run needs.

``SURVIVOR_MUTANT`` names one. It is read here and nowhere else; survivor itself knows nothing of mutants.

Not here, since nothing comes out different: a training loop that had ended is run again in the replay (it ends as it
did, from the same seeds), and the random streams at the making of an iterator that draws nothing then.
"""

import importlib.machinery
import os
import sys

MUTANTS = {}


def mutant(module):
    """A function that changes a module of survivor once it is imported."""

    def register(function):
        MUTANTS[function.__name__] = (module, function)
        return function

    return register


# --- random streams -----------------------------------------------------------------------------------


def _without_stream(name):
    def change(rng):
        write = rng.write_all
        rng.write_all = lambda state: write({**state, name: rng.read_all()[name]})

    change.__name__ = f"{name}_stream"
    mutant("survivor.state.rng")(change)


for _stream in ("python", "numpy", "torch"):
    _without_stream(_stream)


@mutant("survivor.state.flags")
def process_flags(flags):
    flags.write_all = lambda settings: None


def _without(kind, name):
    """The state of objects of this kind stays as the set-up has made it."""

    def change(decode):
        make = getattr(decode.Decoder, f"_make_{kind}")

        def left(self, number, node, live):
            return live if live is not decode.MISSING else make(self, number, node, live)

        setattr(decode.Decoder, f"_make_{kind}", left)

    change.__name__ = name
    mutant("survivor.state.decode")(change)


_without("python_rng", "own_python_generator")
_without("numpy_rng", "own_numpy_generator")
_without("torch_rng", "own_torch_generator")
_without("list", "list_contents")
_without("deque", "deque_contents")
_without("class", "class_attribute")
_without("array", "array")
_without("set", "set_contents")
_without("cache", "cached_results")


@mutant("survivor.state.loaders.positions")
def worker_streams(positions):
    place = positions._place_multi

    def without(it, tracker, state):
        place(it, tracker, {**state, "states": [[] for _ in state["states"]]})

    positions._place_multi = without


# --- positions ----------------------------------------------------------------------------------------


def _advanced(by, name):
    def change(positions):
        for function in ("_place_multi", "_place_single"):
            place = getattr(positions, function)

            def moved(it, tracker, state, place=place):
                stream = {**state["stream"]}
                place(it, tracker, {**state, "consumed": max(0, state["consumed"] + by), "stream": stream})

            setattr(positions, function, moved)

    change.__name__ = name
    mutant("survivor.state.loaders.positions")(change)


_advanced(1, "sampler_one_further")
_advanced(-1, "sampler_one_back")


@mutant("survivor.state.loaders.streams")
def sampler_states(streams):
    streams.Stream.set_states = lambda self, states: None


@mutant("survivor.state.iterators")
def range_one_further(iterators):
    rebuild = iterators.rebuild

    def moved(kind, values):
        made = rebuild(kind, values)
        if kind == "range_iterator":
            next(made, None)
        return made

    iterators.rebuild = moved


@mutant("survivor.state.iterators")
def enumerate_one_back(iterators):
    rebuild = iterators.rebuild

    def moved(kind, values):
        if kind == "enumerate":
            inner, count = values["arguments"]
            values = {**values, "arguments": (inner, max(0, count - 1))}
        return rebuild(kind, values)

    iterators.rebuild = moved


@mutant("survivor.training.replay")
def outer_level(replay):
    restore = replay.Replay._restore

    def left_out(self, record, document, blobs):
        if document in self.levels[:-1]:
            return None
        return restore(self, record, document, blobs)

    replay.Replay._restore = left_out


# --- model, optimizer, scheduler ----------------------------------------------------------------------


def _without_attribute(attribute, name=None):
    def change(decode):
        fill = decode.Decoder._set_attributes

        def left(self, target, pairs):
            own = getattr(target, "__dict__", {})
            if attribute in own:
                kept, known = own[attribute], True
            else:
                kept, known = None, False
            fill(self, target, pairs)
            if known:
                own[attribute] = kept

        decode.Decoder._set_attributes = left

    change.__name__ = name or attribute
    mutant("survivor.state.decode")(change)


_without_attribute("last_epoch", "scheduler_counter")
_without_attribute("training", "training_flag")
_without_attribute("updates", "counter_of_a_users_object")


def _changed_dict(name, change_it):
    """Something happens to each dict after it was restored."""

    def change(decode):
        make = decode.Decoder._make_dict

        def changed(self, number, node, live):
            before = dict(live) if live is not decode.MISSING else {}
            made = make(self, number, node, live)
            change_it(made, before)
            return made

        decode.Decoder._make_dict = changed

    change.__name__ = name
    mutant("survivor.state.decode")(change)


def _zero(slot):
    def change_it(made, _before):
        if slot in made and hasattr(made[slot], "zero_"):
            made[slot].zero_()

    return change_it


def _drop_momentum(made, _before):
    if "momentum_buffer" in made:
        made["momentum_buffer"] = None


def _keep_lr(made, before):
    if "lr" in made and "params" in made and "lr" in before:
        made["lr"] = before["lr"]


def _swap(made, _before):
    import torch

    keys = [key for key in made if isinstance(key, torch.Tensor)]
    for i, a in enumerate(keys):
        for b in keys[i + 1 :]:
            if a.shape == b.shape and a is not b:
                made[a], made[b] = made[b], made[a]
                return


def _one_less(made, _before):
    if "step" in made and "exp_avg" in made:
        made["step"] -= 1


_changed_dict("adam_first_moment", _zero("exp_avg"))
_changed_dict("adam_second_moment", _zero("exp_avg_sq"))
_changed_dict("adam_step_one_less", _one_less)
_changed_dict("sgd_momentum", _drop_momentum)
_changed_dict("learning_rate", _keep_lr)
_changed_dict("optimizer_states_swapped", _swap)


@mutant("survivor.state.decode")
def gradients(decode):
    make = decode.Decoder._make_tensor

    def without(self, number, node, live):
        made = make(self, number, node, live)
        if made.is_leaf:
            made.grad = None
        return made

    decode.Decoder._make_tensor = without


def _without_table(table, name):
    """The tensors in one table of each module stay as the set-up has made them."""

    def change(decode):
        make = decode.Decoder._make_object

        def without(self, number, node, live):
            import torch

            held = [t for t in live.__dict__[table].values() if t is not None] if isinstance(live, torch.nn.Module) else []
            before = [t.detach().clone() for t in held]
            made = make(self, number, node, live)
            with torch.no_grad():
                for tensor, content in zip(held, before, strict=True):
                    tensor.copy_(content)
            return made

        decode.Decoder._make_object = without

    change.__name__ = name
    mutant("survivor.state.decode")(change)


_without_table("_buffers", "buffers")
_without_table("_parameters", "weights")


@mutant("survivor.state.decode")
def one_bit_of_a_weight(decode):
    make = decode.Decoder._make_tensor

    def flipped(self, number, node, live):
        import torch

        made = make(self, number, node, live)
        if isinstance(made, torch.nn.Parameter) and made.dim() == 2:
            with torch.no_grad():
                made.view(-1)[:1].view(torch.int32).bitwise_xor_(1)
        return made

    decode.Decoder._make_tensor = flipped


# --- variables ----------------------------------------------------------------------------------------


def _without_variable(variable, name):
    def change(replay):
        split = replay._split

        def without(decoder, entry, live):
            values, gone = split(decoder, entry, live)
            if variable in values and variable in live:
                del values[variable]
            return values, gone

        replay._split = without

    change.__name__ = name
    mutant("survivor.training.replay")(change)


_without_variable("total", "local_variable")
_without_variable("seen", "global_variable")


@mutant("survivor.state.decode")
def closure_cell(decode):
    make = decode.Decoder._make_cell

    def left(self, number, node, live):
        import types

        return live if isinstance(live, types.CellType) else make(self, number, node, live)

    decode.Decoder._make_cell = left


# --- what is written ----------------------------------------------------------------------------------


@mutant("survivor.training.output")
def printed_again(output):
    output.Output.is_silent = property(lambda self: False)


@mutant("survivor.training.files")
def file_not_cut_back(files):
    files.Files._cut = lambda self, path: None  # of a file that is too large to be carried; small ones are put back
    carrier = sys.modules["survivor.training.carry"].Carrier
    carrier.put_back = lambda self, entries, blobs, since: []


@mutant("survivor.supervisor.process")
def hash_seed(process):
    child = process.Child.__init__

    def other(self, start, *, hash_seed, fds=()):
        child(self, start, hash_seed=str((int(hash_seed) + start.session - 1) % 2**32), fds=fds)

    process.Child.__init__ = other


@mutant("survivor.training.replay")
def first_seeds(replay):
    from survivor.state import rng

    origin = replay.Replay.restore_origin

    def without(self):
        before = rng.read_all()
        found = origin(self)
        rng.write_all(before)
        return found

    replay.Replay.restore_origin = without


class Finder:
    """Applies the mutant when its module has been imported."""

    def __init__(self, module, change):
        self.module, self.change = module, change

    def find_spec(self, name, path=None, target=None):
        if name != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            self.change(module)

        spec.loader.exec_module = exec_module
        return spec


if os.environ.get("SURVIVOR_MUTANT"):
    sys.meta_path.insert(0, Finder(*MUTANTS[os.environ["SURVIVOR_MUTANT"]]))
