//! Limits of a container that runs already. What is not asked for stays, though
//! some files hold two limits, and some kernels check one against the other.

use super::limits::{Controller, Limits, PERIOD};
use super::{Cgroup, usage};
use crate::error::{Error, Result};

impl Cgroup {
    /// Writes `asked` beside what holds already.
    pub fn update(&self, asked: &Limits) -> Result<()> {
        let mut limits = asked.clone();
        self.keep_swap(&mut limits)?;
        self.keep_quota(&mut limits);
        let mut controllers = limits.controllers();
        // No limit is a change, too.
        if limits.pids.is_some() && !controllers.contains(&Controller::Pids) {
            controllers.push(Controller::Pids);
        }
        if let Some(without) = controllers.iter().find(|controller| !self.has(**controller)) {
            let name = without.name();
            return Err(Error::new(format_args!("it was started without a cgroup that can limit {name}"))
                .hint(format_args!("start it with a limit of {name} to change that later")));
        }
        controllers.into_iter().try_for_each(|controller| self.set_one(controller, &limits)).map_err(
            |error| match error.errno() {
                Some(libc::EBUSY) => error.hint("more than that is in use, and cannot be taken away"),
                _ => error,
            },
        )
    }

    /// Memory and swap together stay what they are if only memory changes, where swap adds to it at all.
    fn keep_swap(&self, limits: &mut Limits) -> Result<()> {
        let (Some(limit), None, Some(both)) = (limits.memory.limit, limits.memory.swap, self.memory_and_swap()) else {
            return Ok(());
        };
        if limit > both {
            return Err(Error::new(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            ));
        }
        limits.memory.swap = i64::try_from(both).ok();
        Ok(())
    }

    /// The limit of memory and swap together, if it is more than that of memory.
    fn memory_and_swap(&self) -> Option<u64> {
        let number = |file| self.text(file)?.trim().parse::<u64>().ok();
        let memory = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
        let swap = number("memory.swap.max").map(|swap| memory.saturating_add(swap));
        let both = swap.or_else(|| number("memory.memsw.limit_in_bytes"))?;
        (both > memory && both < usage::UNLIMITED).then_some(both)
    }

    /// A quota means something only with its period, and the other way round.
    fn keep_quota(&self, limits: &mut Limits) {
        let now = self.text("cpu.max").unwrap_or_else(|| {
            let file = |name| self.text(name).unwrap_or_default();
            format!("{} {}", file("cpu.cfs_quota_us").trim(), file("cpu.cfs_period_us").trim())
        });
        let mut now = now.split_whitespace().map(|number| number.parse::<i64>().ok());
        let (quota, period) = (now.next().flatten(), now.next().flatten());
        match (limits.cpu.quota, limits.cpu.period) {
            (None, Some(_)) => limits.cpu.quota = Some(quota.unwrap_or(-1)),
            (Some(_), None) => {
                limits.cpu.period = period.and_then(|period| u64::try_from(period).ok()).or(Some(PERIOD))
            }
            _ => {}
        }
    }
}
