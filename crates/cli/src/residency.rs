//! When components are loaded, how long they stay, and how many there may be.

use std::fs;
use std::time::Duration;

use clap::{Args, ValueEnum};
use dayfly_host::ResidencyConfig;
use dayfly_model::manifest::{parse_duration, parse_size};

use crate::descriptors::Served;

/// Of an app with more components, none is loaded before its first request, unless asked for.
const FEW_COMPONENTS: usize = 16;

/// What the runtime holds for one resident component.
const MAPPINGS_EACH: u64 = 5;
/// What a pool of instances holds for each of them, and what the process holds beside.
const MAPPINGS_PER_INSTANCE: u64 = 4;
const OTHER_MAPPINGS: u64 = 4096;
/// Linux's default of `vm.max_map_count`.
const MAX_MAPPINGS: u64 = 65_530;

/// When components are loaded and leave.
#[derive(Args)]
#[command(next_help_heading = "Components")]
pub(crate) struct ResidencyArgs {
    /// Whether every component is made ready before any is served, and one that cannot be ends the
    /// command; else that shows at its first request
    #[arg(long, env = "DAYFLY_CHECK", value_enum, default_value_t = Check::Auto, value_name = "WHEN",
          num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    check: Check,

    /// Memory that components may take while none of their instances runs; those that were used
    /// last stay [default: half of the machine's]
    #[arg(long, env = "DAYFLY_MEMORY_BUDGET", value_name = "SIZE", value_parser = parse_size)]
    memory_budget: Option<u64>,

    /// How long a component that nobody asks for stays in memory
    #[arg(long, env = "DAYFLY_EVICT_AFTER", default_value = "10m", value_name = "TIME",
          value_parser = parse_duration)]
    evict_after: Duration,
}

/// Whether components are made ready before they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// If the app has at most 16
    Auto,
    /// Each of them
    Always,
    /// None of them
    Never,
}

impl ResidencyArgs {
    /// Has a process have this memory, or its part of what one alone would have.
    pub(crate) fn share(&mut self, own: Option<u64>, processes: u32) {
        let whole = self.memory_budget.unwrap_or_else(|| memory() / 2);
        self.memory_budget = Some(own.unwrap_or(whole / u64::from(processes.max(1))));
    }

    /// Whether an app of so many components is made ready before it is served.
    pub(crate) fn checks(&self, components: usize) -> bool {
        match self.check {
            Check::Auto => components <= FEW_COMPONENTS,
            Check::Always => true,
            Check::Never => false,
        }
    }

    /// The bounds for these components, with descriptors for so many of them.
    pub(crate) fn config(
        &self,
        served: Served,
        descriptors: u64,
        max_instances: u32,
    ) -> ResidencyConfig {
        let count = descriptors.min(most(max_instances));
        if let Served::Known(components) = served
            && count < components as u64
        {
            tracing::info!(
                components,
                resident = count,
                "not all components fit into memory at one time: each holds an open file and some \
                 memory mappings (`ulimit -Hn`, `sysctl vm.max_map_count`)"
            );
        }
        ResidencyConfig {
            bytes: self.memory_budget.unwrap_or_else(|| memory() / 2),
            count: usize::try_from(count).unwrap_or(usize::MAX),
            idle: self.evict_after,
            stand_in: Duration::ZERO,
        }
    }
}

/// How many components may be resident, by what they map.
fn most(max_instances: u32) -> u64 {
    let instances = u64::from(max_instances) * MAPPINGS_PER_INSTANCE;
    let mappings = mappings().saturating_sub(instances + OTHER_MAPPINGS);
    (mappings / MAPPINGS_EACH).max(1)
}

/// The mappings that a process may have.
fn mappings() -> u64 {
    let limit = fs::read_to_string("/proc/sys/vm/max_map_count");
    limit.ok().and_then(|limit| limit.trim().parse().ok()).unwrap_or(MAX_MAPPINGS)
}

/// The machine's memory in bytes, or what a control group leaves of it.
fn memory() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| {
        let kilobytes = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?;
        kilobytes.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
    });
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max");
    let group = group.ok().and_then(|limit| limit.trim().parse::<u64>().ok());
    // Without either of them, what a small machine has.
    total.unwrap_or(2 << 30).min(group.unwrap_or(u64::MAX))
}
