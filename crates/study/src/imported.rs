//! Teachers that were trained elsewhere: brought in once, and from then on teachers like any other.

use crate::{Architecture, DatasetFacts, Distillation, Plan, SpecError, labels::labels};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Who teaches first: a network that is trained here, or one that was trained elsewhere. Written `wrn-40-2`, or
/// `wrn-40-2 from 0123456789abcdef0123456789abcdef`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TeacherNetwork {
    pub architecture: Architecture,
    /// Its weights' digest, where it was trained elsewhere.
    pub imported: Option<WeightsDigest>,
}

/// The first 128 bits of the blake3 digest of an imported teacher's file, which holds its weights and says how its inputs are
/// normalised. Written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WeightsDigest(pub [u8; 16]);

/// An imported teacher, as this installation knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportedTeacher {
    pub network: TeacherNetwork,
    /// What a person calls it.
    pub name: String,
    /// Colours of its images: 1 or 3.
    pub channels: u32,
    pub classes: u32,
}

impl TeacherNetwork {
    /// What a teacher's name may be, for messages.
    pub const ALLOWED: &str = "a network, such as wrn-16-2, or an imported one, written \"wrn-40-2 from DIGEST\"";

    /// As it is told on a page: "wrn-40-2", "wrn-40-2 “mine” (imported 01234567)". `name`: what a person calls it, where that is known.
    pub fn label(&self, name: Option<&str>) -> String {
        match self.imported {
            Some(digest) => format!("{}{} (imported {})", self.architecture, quoted(name), digest.short()),
            None => self.architecture.to_string(),
        }
    }
}

/// " “mine”", with a space before it, in no more letters than a line has room for; nothing where no name is known.
pub(crate) fn quoted(name: Option<&str>) -> String {
    const LETTERS_MAX: usize = 24;
    let Some(name) = name else { return String::new() };
    let cut = if name.chars().count() > LETTERS_MAX { "…" } else { "" };
    format!(" “{}{cut}”", name.chars().take(LETTERS_MAX).collect::<String>())
}

impl WeightsDigest {
    /// Its first eight digits, which tell the few that are in one place from each other.
    pub(crate) fn short(self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl Distillation {
    /// Its teacher, as it is told on a page.
    pub fn teacher_label(&self) -> String {
        self.teacher.label(self.teacher_name.as_deref())
    }
}

impl Plan {
    /// The same plan, whose arms call imported teachers as people do. `name_of` knows some of them.
    pub(crate) fn calling_teachers(mut self, name_of: impl Fn(&TeacherNetwork) -> Option<String>) -> Plan {
        for it in self.arms.iter_mut().filter_map(|arm| arm.distillation.as_mut()) {
            it.teacher_name = name_of(&it.teacher);
        }
        let labels = labels(&self.arms);
        for (arm, label) in self.arms.iter_mut().zip(labels) {
            arm.label = label;
        }
        self
    }

    /// What a person calls an imported teacher, where that was known when this was planned.
    pub(crate) fn name_of(&self, teacher: &TeacherNetwork) -> Option<&str> {
        let named = self.arms.iter().filter_map(|arm| arm.distillation.as_ref());
        named.filter(|it| it.teacher == *teacher).find_map(|it| it.teacher_name.as_deref())
    }
}

impl ImportedTeacher {
    /// Whether it can teach on these images: with as many colours, and for as many classes.
    pub(crate) fn refuse_for(&self, images: &DatasetFacts) -> Option<SpecError> {
        let told = |what: &str, own: u32, theirs: u32| {
            (own != theirs).then(|| format!("has {own} {what}, and {} has {theirs}", images.dataset))
        };
        let problems =
            [told("classes", self.classes, images.classes), told("colour channels", self.channels, images.channels)];
        let problems: Vec<String> = problems.into_iter().flatten().collect();
        (!problems.is_empty()).then(|| SpecError {
            field: "teacher.architecture".into(),
            problem: problems.join("; "),
            given: format!("\"{}\"", self.network),
            allowed: "a teacher of such images".into(),
        })
    }
}

impl From<Architecture> for TeacherNetwork {
    fn from(architecture: Architecture) -> Self {
        TeacherNetwork { architecture, imported: None }
    }
}

impl fmt::Display for TeacherNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.imported {
            Some(digest) => write!(f, "{} from {digest}", self.architecture),
            None => self.architecture.fmt(f),
        }
    }
}

impl FromStr for TeacherNetwork {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(" from ") {
            None => text.parse::<Architecture>().map(TeacherNetwork::from),
            Some((network, digest)) => {
                Ok(TeacherNetwork { architecture: network.parse()?, imported: Some(digest.parse()?) })
            }
        }
    }
}

impl TryFrom<String> for TeacherNetwork {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TeacherNetwork> for String {
    fn from(network: TeacherNetwork) -> String {
        network.to_string()
    }
}

impl fmt::Display for WeightsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for WeightsDigest {
    type Err = String;
    /// Takes only the one way of writing a digest: digests are compared and hashed.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "not a digest: write its 32 lower-case hexadecimal digits".to_owned();
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(wrong());
        }
        let mut digest = [0; 16];
        for (byte, place) in digest.iter_mut().zip((0..32).step_by(2)) {
            *byte = u8::from_str_radix(&text[place..place + 2], 16).map_err(|_| wrong())?;
        }
        Ok(WeightsDigest(digest))
    }
}

impl TryFrom<String> for WeightsDigest {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<WeightsDigest> for String {
    fn from(digest: WeightsDigest) -> String {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_teacher_is_read_as_it_is_written() {
        let imported = "wrn-40-2 from 0123456789abcdef0123456789abcdef";
        for text in ["wrn-16-2", imported] {
            assert_eq!(text.parse::<TeacherNetwork>().unwrap().to_string(), text);
        }
        let network: TeacherNetwork = imported.parse().unwrap();
        assert_eq!(network.label(None), "wrn-40-2 (imported 01234567)");
        assert_eq!(network.label(Some("mine")), "wrn-40-2 “mine” (imported 01234567)");
        assert_eq!(network.label(Some(&"é".repeat(25))), format!("wrn-40-2 “{}…” (imported 01234567)", "é".repeat(24)));
        assert_eq!(TeacherNetwork::from(network.architecture).label(None), "wrn-40-2");
        for wrong in [
            "wrn-11-2",
            "wrn-40-2 from",
            "wrn-40-2 from 01",
            "wrn-40-2 from 0123456789ABCDEF0123456789abcdef",
            "x from y",
        ] {
            assert!(wrong.parse::<TeacherNetwork>().is_err(), "{wrong}");
        }
    }
}
