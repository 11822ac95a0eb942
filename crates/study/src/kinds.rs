//! What each field of a study may be.

use crate::{Architecture, Augmentation, Chain, Dataset, Device, TeacherNetwork, check, numeral};
use std::{fmt::Display, ops::RangeInclusive};
use toml::Value;

/// How one value is read, and what it may be.
pub(crate) struct Kind<T> {
    pub allowed: String,
    pub read: Box<Read<T>>,
}

/// A value, or what is wrong with it in words.
pub(crate) type Read<T> = dyn Fn(&Value) -> Result<T, String>;

impl<T> Kind<T> {
    fn new(allowed: impl Display, read: impl Fn(&Value) -> Result<T, String> + 'static) -> Kind<T> {
        Kind { allowed: allowed.to_string(), read: Box::new(read) }
    }

    pub fn map<U: 'static>(self, into: fn(T) -> U) -> Kind<U>
    where
        T: 'static,
    {
        let Kind { allowed, read } = self;
        Kind { allowed, read: Box::new(move |value| read(value).map(into)) }
    }
}

pub(crate) fn title() -> Kind<String> {
    let (least, most) = (*check::TITLE_CHARACTERS.start(), *check::TITLE_CHARACTERS.end());
    Kind::new(format!("one line of {least} to {most} characters"), |value| {
        let title = value.as_str().ok_or("is not a text")?;
        match title.trim().chars().count() {
            0 => Err("is empty".into()),
            _ if title.chars().any(char::is_control) => Err("is not one line of plain text".into()),
            _ if !check::TITLE_CHARACTERS.contains(&title.chars().count()) => Err("is too long".into()),
            _ => Ok(title.to_owned()),
        }
    })
}

pub(crate) fn dataset() -> Kind<Dataset> {
    Kind::new(Dataset::ALLOWED, |value| {
        let name = value.as_str().ok_or("is not a text")?;
        name.parse().map_err(|_| "is not a data set known here".into())
    })
}

pub(crate) fn architecture() -> Kind<Architecture> {
    Kind::new(Architecture::ALLOWED, |value| {
        let name = value.as_str().ok_or("is not a text")?;
        name.parse().map_err(|_| "is not a network known here".into())
    })
}

pub(crate) fn teacher() -> Kind<TeacherNetwork> {
    Kind::new(format!("{}; networks are {}", TeacherNetwork::ALLOWED, Architecture::ALLOWED), |value| {
        let name = value.as_str().ok_or("is not a text")?;
        name.parse().map_err(|_| "is not a network known here".into())
    })
}

/// Whose members stop within `last` epochs, where that is known.
pub(crate) fn chain(last: Option<u32>) -> Kind<Chain> {
    let stops = last.map_or_else(String::new, |last| format!(", stopped at 1 to {last}"));
    Kind::new(format!("{}{stops}", Chain::ALLOWED), move |value| {
        let chain: Chain = value.as_str().ok_or("is not a text")?.parse()?;
        let beyond = |stop: u32| last.is_some_and(|last| stop > last);
        match chain.0.iter().filter_map(|member| member.stop_epoch).any(|stop| beyond(stop.0)) {
            true => Err("has a member that is stopped beyond the student's last epoch".into()),
            false => Ok(chain),
        }
    })
}

pub(crate) fn device() -> Kind<Device> {
    Kind::new(Device::ALLOWED, |value| {
        let name = value.as_str().ok_or("is not a text")?;
        Device::try_from(name.to_owned()).map_err(|_| "is not a device".into())
    })
}

pub(crate) fn augmentation(dataset: Option<Dataset>) -> Kind<Augmentation> {
    let digits = dataset.is_some_and(Dataset::digits);
    Kind::new(check::augmentations(dataset), move |value| match value.as_str() {
        Some("none") => Ok(Augmentation::None),
        Some("crop") => Ok(Augmentation::Crop),
        Some("crop-flip") if digits => Err("would mirror digits".into()),
        Some("crop-flip") => Ok(Augmentation::CropFlip),
        _ => Err("is none of these".into()),
    })
}

pub(crate) fn named<T: Copy + 'static>(names: &[(&'static str, T)]) -> Kind<T> {
    let allowed: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    let names = names.to_vec();
    Kind::new(allowed.join(", "), move |value| {
        let given = value.as_str().ok_or("is not a text")?;
        let found = names.iter().find(|(name, _)| *name == given);
        found.map(|(_, named)| *named).ok_or_else(|| "is none of these".into())
    })
}

pub(crate) fn boolean() -> Kind<bool> {
    Kind::new("true, false", |value| value.as_bool().ok_or_else(|| "is neither true nor false".into()))
}

/// `beyond`: what to say of a number above the range; empty for a plain "is out of range".
pub(crate) fn whole(range: RangeInclusive<u32>, beyond: &'static str) -> Kind<u32> {
    Kind::new(check::allowed_range(&range), move |value| {
        if let Some(text) = value.as_str().filter(|text| numeral::is_beyond_all(text)) {
            let below = text.starts_with('-') || beyond.is_empty();
            return Err(if below { "is out of range" } else { beyond }.into());
        }
        let given = value.as_integer().ok_or("is not a whole number")?;
        match u32::try_from(given) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ if given > i64::from(*range.end()) && !beyond.is_empty() => Err(beyond.into()),
            _ => Err("is out of range".into()),
        }
    })
}

pub(crate) fn number(interval: check::Interval) -> Kind<f64> {
    Kind::new(interval.allowed(), move |value| {
        let number = match value {
            Value::Integer(integer) => *integer as f64,
            Value::Float(float) => *float,
            Value::String(text) if numeral::is_beyond_all(text) => return Err("is out of range".into()),
            _ => return Err("is not a number".into()),
        };
        match interval.contains(number) {
            // `+ 0.0` turns a negative zero into zero: numbers are compared and hashed by their bits.
            true => Ok(number + 0.0),
            false if number.is_nan() => Err("is not a number".into()),
            false => Err("is out of range".into()),
        }
    })
}
