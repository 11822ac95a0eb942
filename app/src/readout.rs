//! What a legend says of a line: its value at one epoch, out of those that the page holds. The server says it of the last epoch,
//! the browser of the one under the pointer.

/// In place of a value that was not measured.
pub const NOT_MEASURED: &str = "-";

/// Epochs whose values a page holds: more cannot be told apart by a pointer.
const EPOCHS_MAX: u32 = 1_000;

/// The epochs whose values a page holds of each line: every `step`th and the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epochs {
    pub step: u32,
    pub last: u32,
}

impl Epochs {
    pub fn up_to(last: u32) -> Epochs {
        Epochs { step: last.div_ceil(EPOCHS_MAX).max(1), last }
    }

    /// Every one, rising.
    pub fn all(self) -> impl Iterator<Item = u32> {
        (1..=self.last.div_ceil(self.step)).map(move |number| self.numbered(number))
    }

    /// The first that is not before `epoch`.
    pub fn from(self, epoch: u32) -> u32 {
        self.numbered(epoch.div_ceil(self.step).max(1))
    }

    fn numbered(self, number: u32) -> u32 {
        number.saturating_mul(self.step).min(self.last)
    }

    /// The value at `epoch`, one of these, out of `values`, one for each with spaces between; of the last that was measured where no
    /// epoch is named, with that epoch where others were measured later. `None` where there is none.
    pub fn value(self, values: &str, unit: &str, epoch: Option<u32>) -> Option<String> {
        let mut values = self.all().zip(values.split(' ')).filter(|(_, value)| *value != NOT_MEASURED);
        let (at, value) = match epoch {
            Some(epoch) => values.find(|(at, _)| *at == epoch)?,
            None => values.last()?,
        };
        let when = if epoch.is_none() && at < self.last { format!(" (epoch {at})") } else { String::new() };
        Some(format!("{value}{unit}{when}"))
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
        let read = |values: &str, epoch| Epochs::up_to(4).value(values, " %", epoch);
        assert_eq!(read("2.0 1.5 - -", None).as_deref(), Some("1.5 % (epoch 2)"));
        assert_eq!(read("2.0 1.5 - -", Some(1)).as_deref(), Some("2.0 %"));
        assert_eq!(read("2.0 1.5 1.0 0.5", None).as_deref(), Some("0.5 %"));
        for (values, epoch) in [("2.0 - 1.5 1.0", Some(2)), ("2.0 1.5 1.0 0.5", Some(5)), ("- - - -", None)] {
            assert_eq!(read(values, epoch), None, "{values} at {epoch:?}");
        }
        assert_eq!(heading(Some(7)), "At epoch 7");
    }

    #[test]
    fn of_very_many_epochs_every_so_many_are_held_and_the_last() {
        assert_eq!(Epochs::up_to(200).all().count(), 200);
        let many = Epochs::up_to(2_500);
        assert_eq!(many, Epochs { step: 3, last: 2_500 });
        assert_eq!(many.all().next(), Some(3));
        assert_eq!((many.all().last(), many.all().count()), (Some(2_500), 834));
        assert_eq!([0, 1, 3, 4, 2_499, 2_500].map(|epoch| many.from(epoch)), [3, 3, 3, 6, 2_499, 2_500]);
    }
}
