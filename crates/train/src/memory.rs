//! How much memory there is.

use std::fs;

/// Bytes of memory that this process and those beside it can have: the machine's, or less where their group is held to less. What
/// others use of it at the moment does not count: nothing is refused for what runs beside it today. `None` where the system does
/// not say it.
pub fn bytes() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| total(&text));
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = group.into_iter().filter_map(|path| read(path)?.trim().parse().ok());
    machine.into_iter().chain(group).min()
}

/// "MemTotal:       16384 kB"
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_says_it() {
        assert_eq!(total("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert_eq!(total("MemTotal: many kB"), None);
    }
}
