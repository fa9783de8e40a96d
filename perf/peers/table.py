"""Rows of perf/compare's table: medians, spread, ratios, memory, and whether both sides did the work."""
import statistics

FIRST_WITHIN = 0.10  # of each other
LEARNS = 0.9         # the last loss over the first, at most
LAST_WITHIN = 1.5    # factor
HEAD = ("case", "left, samples/s (min..max)", "right, samples/s (min..max)", "ratio (min..max of pairs)", "asked",
        "peak MB: left / right / PyTorch's leanest (of which its import)", "losses, first to last: left; right", "verdict")


def with_spread(values):
    return f"{statistics.median(values):,.4g} ({min(values):,.4g}..{max(values):,.4g})" if max(values) < 1000 else \
        f"{statistics.median(values):,.0f} ({min(values):,.0f}..{max(values):,.0f})"


def last_loss(losses, step):
    """The mean over the fifth before `step` (at least three) of [(step, loss), ...], and of at most a fifth of the steps."""
    until = [(at, loss) for at, loss in losses if at <= step]
    late = [loss for at, loss in until if at > 0.8 * step]
    return statistics.mean(late if len(late) >= 3 else [loss for _, loss in until[-3:]])


class Row:
    """Pairs of runs, each {"rate", "memory", "losses" or "loss"}: the left one is compared with the right one."""

    def __init__(self, case, right_name, asked):
        self.case, self.right_name, self.asked = case, right_name, asked
        self.left, self.right, self.lean, self.peer_memory = [], [], None, True

    def add(self, left, right):
        self.left.append(left)
        self.right.append(right)

    def rates(self):
        return [run["rate"] for run in self.left], [run["rate"] for run in self.right]

    def ratio(self):
        left, right = self.rates()
        return statistics.median(left) / statistics.median(right)

    def last_pair(self):
        left, right = (rates[-1] for rates in self.rates())
        return f"{left:,.1f} beside {right:,.1f} samples/s, {left / right:.2f}"

    def losses(self):
        """[(first, last) of the left, of the right] a pair of runs; of a prediction there is one loss."""
        pairs = []
        for left, right in zip(self.left, self.right):
            if "loss" in left:
                pairs.append(((left["loss"],), (right["loss"],)))
                continue
            step = min(left["losses"][-1][0], right["losses"][-1][0])
            pairs.append(tuple((run["losses"][0][1], last_loss(run["losses"], step)) for run in (left, right)))
        return pairs

    def failures(self):
        """What shows that one side did not do the work; empty when all is well."""
        found = set()
        for left, right in self.losses():
            if len(left) > 1:
                if not abs(left[0] / right[0] - 1) <= FIRST_WITHIN:
                    found.add("first losses differ")
                if not (left[1] <= LEARNS * left[0] and right[1] <= LEARNS * right[0]):
                    found.add("a side does not learn")
            if not 1 / LAST_WITHIN <= left[-1] / right[-1] <= LAST_WITHIN:
                found.add("last losses differ")
        return sorted(found)

    def memory(self):
        ours, theirs = (max(run["memory"] for run in runs) / 1e6 for runs in (self.left, self.right))
        text = f"{ours:.0f} / {theirs:.0f}"
        if self.lean:
            text += f" / {self.lean['memory'] / 1e6:.0f} ({self.lean['import'] / 1e6:.0f})"
        return text

    def verdict(self):
        words = [f"FAILS: {failure}" for failure in self.failures()]
        if self.asked and self.ratio() < self.asked:
            words.append("SHORT")
        if self.lean and max(run["memory"] for run in self.left) > self.lean["memory"]:
            words.append("MEMORY")
        return ", ".join(words) or "ok"

    def cells(self):
        left, right = self.rates()
        pairs = [a / b for a, b in zip(left, right)]
        losses = self.losses()
        medians = ["; ".join(" to ".join(f"{statistics.median(pair[side][i] for pair in losses):.3f}"
                                         for i in range(len(losses[0][side]))) for side in (0, 1))]
        return (self.case, with_spread(left), f"{with_spread(right)}, {self.right_name}",
                f"{self.ratio():.2f} ({min(pairs):.2f}..{max(pairs):.2f})", f"{self.asked:g}" if self.asked else "",
                self.memory(), *medians, self.verdict())

    def markdown(self):
        return "| " + " | ".join(self.cells()) + " |"


def markdown(rows):
    head = "| " + " | ".join(HEAD) + " |\n|" + " --- |" * len(HEAD)
    return "\n".join([head, *(row.markdown() for row in rows)])
