//! Networks between a teacher and a student.

use crate::{Architecture, Epoch};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Who teaches whom between teacher and student, in teaching order: the teacher teaches the first member, the last one the student
/// (Mirzadeh et al. 2020: teacher assistants). Written "wrn-28-2 > wrn-16-2@8"; empty: nobody stands between.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chain(pub Vec<Member>);

/// A teacher that was itself taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    pub architecture: Architecture,
    /// Epochs of its own training after which it is frozen and teaches. `None`: trained to its end.
    pub stop_epoch: Option<Epoch>,
}

impl Chain {
    /// Most members.
    pub const MEMBERS_MAX: usize = 10;
    /// What a chain may be, for messages.
    pub(crate) const ALLOWED: &str = "networks in teaching order, such as \"wrn-28-2 > wrn-16-2@8\" (@8: stopped at 8 \
                                      epochs), or \"\" for none";

    /// Between teachers and students of `epochs` epochs: a member that is stopped at the end is trained to its end.
    pub(crate) fn canonical(&self, epochs: Epoch) -> Chain {
        let member = |member: &Member| Member { stop_epoch: member.stop_epoch.filter(|it| *it < epochs), ..*member };
        Chain(self.0.iter().map(member).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The earliest stop of a member.
    pub(crate) fn first_stop(&self) -> Option<Epoch> {
        self.0.iter().filter_map(|member| member.stop_epoch).min()
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stop_epoch {
            None => self.architecture.fmt(f),
            Some(stop) => write!(f, "{}@{stop}", self.architecture),
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<String> = self.0.iter().map(Member::to_string).collect();
        f.write_str(&members.join(" > "))
    }
}

impl FromStr for Chain {
    /// What is wrong, in words.
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Chain::default());
        }
        let members: Vec<Member> = text.split('>').map(member).collect::<Result<_, _>>()?;
        if members.len() > Chain::MEMBERS_MAX {
            return Err(format!("has more than {} members", Chain::MEMBERS_MAX));
        }
        Ok(Chain(members))
    }
}

fn member(text: &str) -> Result<Member, String> {
    let (network, stop) = match text.split_once('@') {
        Some((network, stop)) => (network, Some(stop.trim())),
        None => (text, None),
    };
    let architecture = network.trim().parse().map_err(|_| "has a member that is not a network known here")?;
    let stop_epoch = match stop {
        None => None,
        Some(stop) => Some(Epoch(stop.parse().ok().filter(|it| *it > 0).ok_or("is stopped at what is not an epoch")?)),
    };
    Ok(Member { architecture, stop_epoch })
}

impl TryFrom<String> for Chain {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Chain> for String {
    fn from(chain: Chain) -> String {
        chain.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_read_as_it_is_written() {
        for text in ["", "wrn-16-2", "wrn-28-2 > wrn-16-2", "wrn-28-2@8 > wrn-16-2 > wrn-10-1@1"] {
            assert_eq!(text.parse::<Chain>().unwrap().to_string(), text);
        }
        let spaced: Chain = " wrn-28-2 @ 8>wrn-16-2 ".parse().unwrap();
        assert_eq!(spaced.to_string(), "wrn-28-2@8 > wrn-16-2");
        assert_eq!(spaced.first_stop(), Some(Epoch(8)));
        assert_eq!(" ".parse(), Ok(Chain::default()));
    }

    #[test]
    fn what_is_no_chain_is_refused_in_words() {
        let wrong = |text: &str| text.parse::<Chain>().unwrap_err();
        for text in ["wrn-11-1", "wrn-16-2 >", "> wrn-16-2", "wrn-16-2, wrn-10-1", "@8"] {
            assert_eq!(wrong(text), "has a member that is not a network known here", "{text}");
        }
        for text in ["wrn-16-2@", "wrn-16-2@0", "wrn-16-2@-1", "wrn-16-2@8@9", "wrn-16-2@4294967296"] {
            assert_eq!(wrong(text), "is stopped at what is not an epoch", "{text}");
        }
        assert_eq!(wrong(&["wrn-16-2"; 11].join(">")), "has more than 10 members");
    }

    #[test]
    fn a_member_stopped_at_its_end_is_trained_to_its_end() {
        let chain: Chain = "wrn-28-2@8 > wrn-16-2@20".parse().unwrap();
        assert_eq!(chain.canonical(Epoch(20)).to_string(), "wrn-28-2@8 > wrn-16-2");
    }
}
