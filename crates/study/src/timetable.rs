//! When a plan would be through: its segments worked off as the runner does, as far as that can be said beforehand.

use crate::Architecture;
use std::{cmp::Ordering, collections::BinaryHeap};

/// Threads beyond these find nothing to do in a training step.
pub const WORKER_THREADS_MAX: u32 = Architecture::PARTS_MAX;
/// A worker's process begins, finds its images and is noticed when it ends: the runner looks five times a second.
const START_SECONDS: f64 = 0.2;

/// What is left of one segment. Work is in seconds of one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Task {
    /// Places, among the tasks, of those whose checkpoints it needs and which are not there, each with which of its milestones.
    pub needs: Vec<(usize, usize)>,
    /// Work until each of its stops that is still to come, rising; the last one is its end. Empty: nothing is left.
    pub milestones: Vec<f64>,
    /// Of a worker that is at it now.
    pub threads: Option<u32>,
}

impl Task {
    fn work(&self) -> f64 {
        self.milestones.last().copied().unwrap_or(0.0)
    }
}

struct Running {
    task: usize,
    threads: u32,
    done: f64,
    /// Milestones passed.
    passed: usize,
}

/// A task that can start; the one with the longest remaining path is the greatest.
struct Ready {
    path: f64,
    task: usize,
}

impl Ord for Ready {
    fn cmp(&self, other: &Ready) -> Ordering {
        self.path.total_cmp(&other.path).then(other.task.cmp(&self.task))
    }
}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Ready) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ready {
    fn eq(&self, other: &Ready) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ready {}

/// Seconds until all tasks are done on `threads` threads: what can start, starts with the longest remaining path first, with a
/// thread each, or more where there are fewer tasks than threads. Each task's needs stand before it. Memory is not looked at, nor
/// who else uses the machine.
pub(crate) fn seconds(tasks: &[Task], threads: u32) -> f64 {
    let threads = threads.max(1);
    let paths = remaining_paths(tasks);
    let mut waits: Vec<usize> = tasks.iter().map(|task| task.needs.len()).collect();
    let mut frees: Vec<Vec<(usize, usize)>> = vec![Vec::new(); tasks.len()];
    for (place, task) in tasks.iter().enumerate() {
        for (need, milestone) in &task.needs {
            frees[*need].push((*milestone, place));
        }
    }
    let left = |place: &usize| !tasks[*place].milestones.is_empty();
    let at_work =
        |place: usize| tasks[place].threads.map(|threads| Running { task: place, threads, done: 0.0, passed: 0 });
    let mut running: Vec<Running> = (0..tasks.len()).filter(left).filter_map(at_work).collect();
    let mut ready: BinaryHeap<Ready> = (0..tasks.len())
        .filter(|place| left(place) && waits[*place] == 0 && tasks[*place].threads.is_none())
        .map(|task| Ready { path: paths[task], task })
        .collect();
    let mut time = 0.0;
    loop {
        start(&mut running, &mut ready, tasks, threads);
        let until_next =
            |it: &Running| (tasks[it.task].milestones[it.passed] - it.done).max(0.0) / f64::from(it.threads);
        let Some(step) = running.iter().map(until_next).reduce(f64::min) else { return time };
        time += step;
        for it in &mut running {
            // The one that sets the step reaches its milestone for certain, however its sums were rounded.
            let reaches = until_next(it) <= step;
            it.done += step * f64::from(it.threads);
            if !reaches {
                continue;
            }
            it.done = tasks[it.task].milestones[it.passed];
            for &(milestone, place) in &frees[it.task] {
                if milestone == it.passed {
                    waits[place] -= 1;
                    if waits[place] == 0 && left(&place) && tasks[place].threads.is_none() {
                        ready.push(Ready { path: paths[place], task: place });
                    }
                }
            }
            it.passed += 1;
        }
        running.retain(|it| it.passed < tasks[it.task].milestones.len());
    }
}

/// Gives free threads to what can start; where nothing can, to the worker with the longest way to go, which begins anew with them.
fn start(running: &mut Vec<Running>, ready: &mut BinaryHeap<Ready>, tasks: &[Task], threads: u32) {
    let busy: u32 = running.iter().map(|it| it.threads).sum();
    let free = threads.saturating_sub(busy);
    let places = free.min(ready.len() as u32);
    for place in 0..places {
        let Some(Ready { task, .. }) = ready.pop() else { break };
        let threads = (free / places + u32::from(place < free % places)).min(WORKER_THREADS_MAX);
        running.push(Running { task, threads, done: -START_SECONDS * f64::from(threads), passed: 0 });
    }
    if places == 0 && free > 0 {
        let left = |it: &Running| (tasks[it.task].work() - it.done) / f64::from(it.threads);
        let could = running.iter_mut().filter(|it| it.threads < WORKER_THREADS_MAX);
        if let Some(slowest) = could.max_by(|a, b| left(a).total_cmp(&left(b))) {
            slowest.threads = (slowest.threads + free).min(WORKER_THREADS_MAX);
        }
    }
}

/// For each task, its work and that of the longest chain of those that wait for it.
fn remaining_paths(tasks: &[Task]) -> Vec<f64> {
    let mut paths = vec![0.0; tasks.len()];
    for (place, task) in tasks.iter().enumerate().rev() {
        paths[place] += task.work();
        for (need, _) in &task.needs {
            paths[*need] = f64::max(paths[*need], paths[place]);
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(needs: &[(usize, usize)], milestones: &[f64]) -> Task {
        Task { needs: needs.to_vec(), milestones: milestones.to_vec(), threads: None }
    }

    #[track_caller]
    fn assert_takes(tasks: &[Task], threads: u32, expected: f64) {
        let took = seconds(tasks, threads);
        assert!((took - expected).abs() < 1e-9, "{took}, expected {expected}");
    }

    #[test]
    fn one_after_the_other_and_side_by_side() {
        let tasks = [task(&[], &[10.0]), task(&[], &[10.0]), task(&[], &[10.0])];
        assert_takes(&tasks, 1, 30.0 + 3.0 * START_SECONDS);
        // Two side by side; the third has both threads.
        assert_takes(&tasks, 2, 15.0 + 2.0 * START_SECONDS);
        assert_takes(&tasks[..1], 4, 2.5 + START_SECONDS);
        assert_takes(&tasks[..1], 1000, 10.0 / 8.0 + START_SECONDS);
        assert_takes(&[], 2, 0.0);
        assert_takes(&[task(&[], &[])], 2, 0.0);
    }

    #[test]
    fn a_checkpoint_on_the_way_lets_others_begin() {
        // The teacher has all three threads, so that the student waits for its end.
        let tasks = [task(&[], &[6.0, 12.0]), task(&[(0, 0)], &[2.0])];
        assert_takes(&tasks, 1, 14.0 + 2.0 * START_SECONDS);
        assert_takes(&tasks, 3, 4.0 + START_SECONDS + 2.0 / 3.0 + START_SECONDS);
        // One that is at work already begins no more.
        let at_work = Task { threads: Some(1), ..tasks[0].clone() };
        assert_takes(&[at_work, tasks[1].clone()], 1, 14.0 + START_SECONDS);
    }

    #[test]
    fn the_longest_path_goes_first_and_the_last_one_gets_all_threads() {
        let tasks = [task(&[], &[4.0]), task(&[], &[2.0]), task(&[(1, 0)], &[8.0])];
        // The chain of 2 and 8 beside the 4: the 8 runs with one thread until the 4 is done, then with two.
        let started = 2.0 + 2.0 * START_SECONDS;
        let alone_at = 4.0 + START_SECONDS;
        let done_by_then = alone_at - started;
        assert_takes(&tasks, 2, alone_at + (8.0 - done_by_then) / 2.0);
    }
}
