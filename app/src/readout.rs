//! What a legend says of a line: its value at one epoch, out of those that the page holds. The server says it of the last epoch,
//! the browser of the one under the pointer.

/// In place of a value that was not measured.
pub const NOT_MEASURED: &str = "-";

/// The value at `epoch` out of `values`, one for each epoch from the first on with spaces between; of the last that was measured
/// where no epoch is named, with that epoch where others were measured later. `None` where there is none.
pub fn value(values: &str, unit: &str, epoch: Option<u32>) -> Option<String> {
    let measured = |value: &&str| *value != NOT_MEASURED;
    match epoch {
        Some(epoch) => {
            let value = values.split(' ').nth(epoch.checked_sub(1)? as usize).filter(measured)?;
            Some(format!("{value}{unit}"))
        }
        None => {
            let (later, value) = values.rsplit(' ').enumerate().find(|(_, value)| measured(value))?;
            let epoch = values.split(' ').count() - later;
            let when = if later > 0 { format!(" (epoch {epoch})") } else { String::new() };
            Some(format!("{value}{unit}{when}"))
        }
    }
}

/// What stands above the values.
pub fn heading(epoch: Option<u32>) -> String {
    epoch.map_or("At the last epoch".to_owned(), |epoch| format!("At epoch {epoch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_an_earlier_epoch_says_so() {
        let read = |values, epoch| value(values, " %", epoch);
        assert_eq!(read("2.0 1.5 - -", None).as_deref(), Some("1.5 % (epoch 2)"));
        assert_eq!(read("2.0 1.5 - -", Some(1)).as_deref(), Some("2.0 %"));
        assert_eq!(read("2.0 1.5", None).as_deref(), Some("1.5 %"));
        for (values, epoch) in [("2.0 - 1.5", Some(2)), ("2.0", Some(0)), ("2.0", Some(2)), ("- -", None)] {
            assert_eq!(read(values, epoch), None, "{values} at {epoch:?}");
        }
        assert_eq!(heading(Some(7)), "At epoch 7");
    }
}
