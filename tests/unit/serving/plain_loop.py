"""The scheduler written out plainly: an object per request, every step by itself. The oracle of the fast loop."""

from dataclasses import dataclass


@dataclass
class Job:
    arrival_s: float
    prompt: int
    output: int
    computed: int = 0
    emitted: int = 0
    blocks: int = 0
    decoding: bool = False
    over: bool = False
    joined: int = 0
    steps: int = 0
    preemptions: int = 0
    admitted_s: float | None = None
    first_s: float | None = None
    end_s: float | None = None

    @property
    def target(self):
        return self.prompt + self.emitted


class PlainGroup:
    """One attention group: who waits, who runs, and its blocks."""

    def __init__(self, knobs, kv_blocks):
        self.knobs, self.free, self.kv_blocks = knobs, kv_blocks, kv_blocks
        self.n = knobs.steps_per_schedule
        self.waiting, self.running = [], []
        self.unseen, self.ended, self.noticed = [], [], []

    @property
    def decodes(self):
        return [job for job in self.running if job.decoding]

    def is_open(self):
        return bool(self.unseen or self.waiting or any(not job.over for job in self.running))

    def needs(self, job, tokens):
        return -(-tokens // self.knobs.block_tokens) - job.blocks

    def take(self, job, tokens):
        n = self.needs(job, tokens)
        job.blocks, self.free = job.blocks + n, self.free - n

    def slots(self, job, step):
        """Slots that a decode holds in step number `step` since it joined: of every n-th step on for n tokens more."""
        return job.joined + (step // self.n + 1) * self.n

    def needed_soon(self):
        """Blocks that the decodes take in the next n steps."""
        return sum(self.needs(job, self.slots(job, job.steps + self.n - 1)) for job in self.decodes)

    def decode(self, job):
        self.take(job, self.slots(job, job.steps))
        job.computed += 1
        job.steps += 1

    def preempt(self, job):
        self.running.remove(job)
        self.free += job.blocks
        job.blocks = job.computed = 0
        job.decoding = False
        job.preemptions += 1
        self.waiting.insert(0, job)
        self.changed = True

    def make_room(self):
        """Blocks for the decodes; who was admitted last goes first."""
        while self.needed_soon() > self.free:
            self.preempt([job for job in self.running if not job.over][-1])

    def prompts(self, *, admit):
        budget = self.knobs.max_batched_tokens - (len(self.decodes) if self.knobs.mixed_steps else 0)
        kept = self.needed_soon() if self.knobs.mixed_steps else 0
        found = []
        for job in [job for job in self.running if not job.decoding and not job.over]:
            new = min(job.target - job.computed, budget)
            if self.needs(job, job.computed + new) > self.free - kept:
                self.preempt(job)
                return found
            if new:
                self.take(job, job.computed + new)
                found.append((job, new))
                budget -= new
        while self.waiting and admit and len(self.running) < self.knobs.max_num_seqs:
            job = self.waiting[0]
            new = min(job.target, budget) if self.knobs.chunked_prefill else job.target
            if new < 1 or (new > budget and found) or self.needs(job, new) > self.free - kept:
                break
            self.running.append(self.waiting.pop(0))
            if job.admitted_s is None:
                job.admitted_s = self.now_s
            self.take(job, new)
            found.append((job, new))
            budget -= new
        return found

    def see(self):
        self.waiting += self.unseen
        self.unseen = []

    def notice(self):
        for job in self.noticed:
            self.leave(job)
        self.noticed, self.ended = self.ended, []

    def leave(self, job):
        self.running.remove(job)
        self.free += job.blocks

    def end_iteration(self):
        """Who is answered decodes no more; an asynchronous scheduler has put the next iteration together already."""
        for job in [job for job in self.running if job.over and job not in (*self.ended, *self.noticed)]:
            job.decoding = False
            if self.knobs.async_scheduling:
                self.ended.append(job)
            else:
                self.leave(job)

    def plan(self, now_s):
        """(decodes, prompts with their new tokens) of the next iteration."""
        self.now_s, self.changed = now_s, False
        late, mixed = self.knobs.async_scheduling, self.knobs.mixed_steps
        self.notice()
        if mixed:
            self.make_room()
        if not late:
            self.see()
        admit = not self.changed
        found = self.prompts(admit=admit)
        if late and admit and not found and not self.decodes:  # nothing runs meanwhile: all is known
            self.notice()
            self.notice()
            self.see()
            found = self.prompts(admit=admit)
        self.see()
        if not mixed and not found:
            self.make_room()
        return [] if found and not mixed else self.decodes, found


class PlainLoop:
    """Groups that step together; `step_s` of (decodes, their cached tokens, prompt tokens) of all groups together, and
    of the decodes and cached tokens of the fullest."""

    def __init__(self, jobs, knobs, step_s, kv_blocks, n_groups=1):
        self.jobs, self.knobs, self.step_s = jobs, knobs, step_s
        self.coming = sorted(jobs, key=lambda job: job.arrival_s)
        self.groups = [PlainGroup(knobs, kv_blocks) for _ in range(n_groups)]
        self.now_s, self.gaps, self.last_s, self.n_come, self.n_wasted = 0.0, [], {}, 0, 0

    def run(self):
        while self.coming or any(group.is_open() for group in self.groups):
            if not any(group.is_open() for group in self.groups):
                self.now_s = max(self.now_s, self.coming[0].arrival_s)
            while self.coming and self.coming[0].arrival_s <= self.now_s:
                self.groups[self.n_come % len(self.groups)].unseen.append(self.coming.pop(0))
                self.n_come += 1
            self.iteration()
            assert all(0 <= group.free <= group.kv_blocks for group in self.groups)
        for group in self.groups:
            group.plan(self.now_s)
            assert group.free == group.kv_blocks
        return self.jobs

    def iteration(self):
        planned = [(group, *group.plan(self.now_s)) for group in self.groups]
        if not any(decodes or prompts for _, decodes, prompts in planned):
            return
        n = 1 if any(prompts for _, _, prompts in planned) else self.knobs.steps_per_schedule
        host_s, hidden, began_s = self.knobs.scheduler_overhead_s, self.knobs.async_scheduling, self.now_s
        for i in range(n):
            step_s = self.seconds(planned) + self.knobs.sampling_overhead_s
            if i == 0 and not hidden:
                step_s += host_s
            if i == n - 1 and hidden:
                step_s = max(step_s, host_s - (self.now_s - began_s))
            self.now_s += step_s
            self.step(planned)
        for group in self.groups:
            group.end_iteration()

    def seconds(self, planned):
        decodes = [job for _, own, _ in planned for job in own]
        prompts = [prompt for _, _, own in planned for prompt in own]
        alone = len(self.groups) == 1
        fullest = 0 if prompts or alone else max(sum(job.computed for job in own) for _, own, _ in planned)
        return self.step_s(len(decodes), sum(job.computed for job in decodes), sum(new for _, new in prompts), fullest)

    def step(self, planned):
        for group, own, chunks in planned:
            for job in own:
                group.decode(job)
                self.token(job)
            for job, new in chunks:
                job.computed += new
                if job.computed == job.target:
                    job.decoding, job.joined, job.steps = True, job.computed, 0
                    self.token(job)

    def token(self, job):
        if job.over:
            self.n_wasted += 1
            return
        job.emitted += 1
        if job.emitted == 1:
            job.first_s = self.now_s
        else:
            self.gaps.append(self.now_s - self.last_s[id(job)])
        self.last_s[id(job)] = self.now_s
        if job.emitted == job.output:
            job.end_s, job.over = self.now_s, True
