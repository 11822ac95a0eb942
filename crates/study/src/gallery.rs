//! The paper's experiments (Cho & Hariharan, "On the Efficacy of Knowledge Distillation", ICCV 2019), each a study to open as it is, at
//! three sizes.

use crate::{Dataset, Study, claims::Claim};

/// One experiment of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// Names it in addresses and files.
    pub slug: &'static str,
    /// What is asked: the study's title.
    pub question: &'static str,
    /// What the paper found, and what to look at.
    pub finding: &'static str,
    /// Which arms it says are above which.
    pub claim: Claim,
    /// By size.
    students: [Student; 3],
    /// Teacher and treatment, by size.
    bodies: [&'static str; 3],
}

/// A network, and the epochs of its training.
type Student = (&'static str, u32);

/// How much an experiment takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// Small networks on a part of Fashion-MNIST, which is built in.
    Minutes,
    /// A student of the paper on all of Fashion-MNIST, with as few teachers and epochs as are through in a night on two cores.
    Overnight,
    /// CIFAR-10, 200 epochs with a drop every 60, five seeds.
    AsPublished,
}

impl Size {
    pub const ALL: [Size; 3] = [Size::Minutes, Size::Overnight, Size::AsPublished];

    pub fn name(self) -> &'static str {
        match self {
            Size::Minutes => "Minutes",
            Size::Overnight => "Overnight",
            Size::AsPublished => "As published",
        }
    }

    /// The images of every experiment of this size.
    pub fn dataset(self) -> Dataset {
        match self {
            Size::Minutes => Dataset::FashionMnist12k,
            Size::Overnight => Dataset::FashionMnist,
            Size::AsPublished => Dataset::Cifar10,
        }
    }

    /// Data, student and recipe. Stops are chosen on images held out of the training split, where the paper's look chosen on test.
    fn head(self, (student, epochs): Student) -> String {
        let seeds = match self {
            Size::Minutes | Size::Overnight => 3,
            Size::AsPublished => 5,
        };
        let student = format!("{{ architecture = \"{student}\", epochs = {epochs} }}");
        format!("dataset = \"{}\"\nseeds = {seeds}\nstudent = {student}\n", self.dataset())
    }
}

impl Card {
    /// The study, of this size.
    pub fn study(&self, size: Size) -> Study {
        let text = format!(
            "title = \"{}\"\n{}{}",
            self.question,
            size.head(self.students[size as usize]),
            self.bodies[size as usize]
        );
        Study::from_toml(&text).expect("every card is read by a test")
    }

    /// The experiment that a study asks, by its question.
    pub fn of_title(title: &str) -> Option<&'static Card> {
        CARDS.iter().find(|card| card.question == title)
    }

    pub fn of_slug(slug: &str) -> Option<&'static Card> {
        CARDS.iter().find(|card| card.slug == slug)
    }
}

/// The student of most of them.
const WRN: [Student; 3] = [("wrn-10-1", 12), ("wrn-16-1", 30), ("wrn-16-1", 200)];

/// In the paper's order, and then those of its other students.
pub const CARDS: [Card; 12] = [
    Card {
        slug: "wider-teachers",
        question: "Is the wider teacher the better one?",
        finding: "Teachers become more accurate with their width. Their students do so at first, and then become worse.",
        claim: Claim::SmallestTeacherAboveLargest,
        students: WRN,
        bodies: [
            "teacher = { architecture = [\"wrn-10-1\", \"wrn-10-2\", \"wrn-10-4\"], epochs = 12 }\n\
             treatment = { kd_stop_epoch = [0, 12] }\n",
            "teacher = { architecture = [\"wrn-16-1\", \"wrn-16-2\", \"wrn-16-4\"], epochs = 30 }\n\
             treatment = { kd_stop_epoch = [0, 30] }\n",
            "teacher = { architecture = [\"wrn-16-1\", \"wrn-16-2\", \"wrn-16-3\", \"wrn-16-4\", \"wrn-16-6\", \"wrn-16-8\"], epochs = 200 }\n\
             treatment = { kd_stop_epoch = [0, 200] }\n",
        ],
    },
    Card {
        slug: "deeper-teachers",
        question: "Is the deeper teacher the better one?",
        finding: "It is not: from 40 to 250 layers teachers become more accurate, and their students do not.",
        claim: Claim::SmallestTeacherAboveLargest,
        students: WRN,
        bodies: [
            "teacher = { architecture = [\"wrn-10-1\", \"wrn-16-1\", \"wrn-28-1\"], epochs = 12 }\n\
             treatment = { kd_stop_epoch = [0, 12] }\n",
            "teacher = { architecture = [\"wrn-16-1\", \"wrn-28-1\", \"wrn-40-1\"], epochs = 30 }\n\
             treatment = { kd_stop_epoch = [0, 30] }\n",
            "teacher = { architecture = [\"wrn-40-1\", \"wrn-52-1\", \"wrn-64-1\", \"wrn-76-1\", \"wrn-88-1\", \"wrn-100-1\", \"wrn-154-1\", \"wrn-250-1\"], epochs = 200 }\n\
             treatment = { kd_stop_epoch = [0, 200] }\n",
        ],
    },
    Card {
        slug: "denser-teachers",
        question: "Is the larger DenseNet the better teacher?",
        finding: "Three of four DenseNets have students that are better than from labels alone; those of the largest one are not.",
        claim: Claim::SmallestTeacherAboveLargest,
        students: WRN,
        bodies: [
            "teacher = { architecture = [\"densenet-bc-40-12\", \"densenet-bc-40-24\"], epochs = 12 }\n\
             treatment = { kd_stop_epoch = [0, 12] }\n",
            "teacher = { architecture = [\"densenet-bc-40-12\", \"densenet-bc-40-24\"], epochs = 30 }\n\
             treatment = { kd_stop_epoch = [0, 30] }\n",
            "teacher = { architecture = [\"densenet-bc-40-24\", \"densenet-bc-100-12\", \"densenet-bc-40-48\", \"densenet-bc-100-24\"], epochs = 200 }\n\
             treatment = { kd_stop_epoch = [0, 200] }\n",
        ],
    },
    Card {
        slug: "temperature",
        question: "Does a higher temperature make the larger teacher the better one?",
        finding: "A sure teacher could say too little; softening what it says does not change who teaches better.",
        claim: Claim::SmallestTeacherAboveLargest,
        students: WRN,
        bodies: [
            "teacher = { architecture = [\"wrn-10-2\", \"wrn-10-4\"], epochs = 12 }\n\
             treatment = { temperature = [1.0, 4.0, 16.0], kd_stop_epoch = [0, 12] }\n",
            "teacher = { architecture = [\"wrn-16-2\", \"wrn-16-4\"], epochs = 30 }\n\
             treatment = { temperature = [1.0, 16.0], kd_stop_epoch = [0, 30] }\n",
            "teacher = { architecture = [\"wrn-16-2\", \"wrn-16-4\", \"wrn-16-8\"], epochs = 200 }\n\
             treatment = { temperature = [1.0, 4.0, 16.0], kd_stop_epoch = [0, 200] }\n",
        ],
    },
    Card {
        slug: "mimicking",
        question: "Can the student mimic its teacher at all?",
        finding: "The larger the teacher, the larger the KD loss that is left, in training and on held-out images: look at these curves.",
        claim: Claim::KdLossGrows,
        students: WRN,
        bodies: [
            "teacher = { architecture = [\"wrn-10-1\", \"wrn-10-2\", \"wrn-10-4\"], epochs = 12 }\n\
             treatment = { kd_weight = 1.0 }\n",
            "teacher = { architecture = [\"wrn-16-1\", \"wrn-16-2\", \"wrn-16-4\"], epochs = 30 }\n\
             treatment = { kd_weight = 1.0 }\n",
            "teacher = { architecture = [\"wrn-16-1\", \"wrn-16-2\", \"wrn-16-3\", \"wrn-16-4\", \"wrn-16-6\", \"wrn-16-8\"], epochs = 200 }\n\
             treatment = { kd_weight = 1.0 }\n",
        ],
    },
    Card {
        slug: "over-time",
        question: "When does distillation stop helping?",
        finding: "Early on the distilled student is ahead of the one that learns from labels alone; at the end of its training it falls behind.",
        claim: Claim::LabelsAboveDistilled,
        students: WRN,
        bodies: [
            "teacher = { architecture = \"wrn-16-2\", epochs = 12 }\n\
             treatment = { kd_stop_epoch = [0, 12] }\nrecipe = { evaluate_test = \"every-epoch\" }\n",
            "teacher = { architecture = \"wrn-28-2\", epochs = 30 }\n\
             treatment = { kd_stop_epoch = [0, 30] }\nrecipe = { evaluate_test = \"every-epoch\" }\n",
            "teacher = { architecture = \"wrn-40-1\", epochs = 200 }\n\
             treatment = { kd_stop_epoch = [0, 200] }\nrecipe = { evaluate_test = \"every-epoch\" }\n",
        ],
    },
    Card {
        slug: "stopping-distillation",
        question: "Where should distillation stop?",
        finding: "Stopped early (ESKD), the student does better than distilled to the end, and better than from labels alone.",
        claim: Claim::EarlyStopAboveEndAndLabels,
        students: WRN,
        bodies: [
            "teacher = { architecture = \"wrn-16-2\", epochs = 12 }\n\
             treatment = { kd_stop_epoch = [0, 2, 4, 8, 12] }\n",
            "teacher = { architecture = \"wrn-28-2\", epochs = 30 }\n\
             treatment = { kd_stop_epoch = [0, 5, 10, 20, 30] }\n",
            "teacher = { architecture = \"wrn-40-1\", epochs = 200 }\n\
             treatment = { kd_stop_epoch = [0, 40, 60, 80, 120, 160, 200] }\n",
        ],
    },
    Card {
        slug: "sequences",
        question: "Does teaching in a sequence help?",
        finding: "The last of a sequence can be worse than one that learns from labels alone, and all of it together is no better than as many of those.",
        claim: Claim::LabelsAboveLastGeneration,
        students: WRN,
        bodies: [
            "teacher = { architecture = \"wrn-10-1\", epochs = 12 }\n\
             treatment = { kd_stop_epoch = [0, 12], generations = 3 }\n",
            "teacher = { architecture = \"wrn-16-1\", epochs = 30 }\n\
             treatment = { kd_stop_epoch = [0, 30], generations = 3 }\n",
            "teacher = { architecture = \"wrn-16-1\", epochs = 200 }\n\
             treatment = { kd_stop_epoch = [0, 200], generations = 5 }\n",
        ],
    },
    Card {
        slug: "stopping-the-teacher",
        question: "Do teachers of a shorter training teach better?",
        finding: "Large teachers trained for 35 to 80 epochs, by a schedule compressed to these, have better students than those trained for 200.",
        claim: Claim::ShortTeacherAboveLong,
        students: WRN,
        bodies: [
            "teacher = { architecture = [\"wrn-10-2\", \"wrn-10-4\"], epochs = [4, 8, 12] }\n\
             treatment = { kd_stop_epoch = [0, 12] }\n",
            "teacher = { architecture = \"wrn-16-4\", epochs = [8, 30] }\n\
             treatment = { kd_stop_epoch = [0, 30] }\n",
            "teacher = { architecture = [\"wrn-16-3\", \"wrn-16-4\", \"wrn-16-6\", \"wrn-16-8\"], epochs = [35, 50, 65, 80, 200] }\n\
             treatment = { kd_stop_epoch = [0, 200] }\n",
        ],
    },
    Card {
        slug: "both-stops",
        question: "Does it help to stop both, the teacher and the distillation?",
        finding: "On ImageNet the best students are of teachers stopped early, with distillation stopped early too.",
        claim: Claim::BothStopsAboveNone,
        students: WRN,
        bodies: [
            "teacher = { architecture = \"wrn-16-2\", epochs = 12 }\n\
             treatment = { kd_stop_epoch = [0, 4, 12], teacher_stop_epoch = [5, 12] }\n",
            "teacher = { architecture = \"wrn-28-2\", epochs = 30 }\n\
             treatment = { kd_stop_epoch = [0, 10, 30], teacher_stop_epoch = [12, 30] }\n",
            "teacher = { architecture = \"wrn-16-8\", epochs = [65, 200] }\n\
             treatment = { kd_stop_epoch = [0, 60, 200] }\n",
        ],
    },
    Card {
        slug: "deeper-student",
        question: "Do the same teachers suit a deeper student?",
        finding: "A student of 28 layers has little of wider teachers trained in full, and more of those trained for 35 to 80 epochs.",
        claim: Claim::ShortTeacherAboveLong,
        students: [("wrn-16-1", 12), ("wrn-28-1", 30), ("wrn-28-1", 200)],
        bodies: [
            "teacher = { architecture = [\"wrn-16-2\", \"wrn-16-4\"], epochs = [6, 12] }\n\
             treatment = { kd_stop_epoch = [0, 12] }\n",
            "teacher = { architecture = \"wrn-28-2\", epochs = [15, 30] }\n\
             treatment = { kd_stop_epoch = [0, 30] }\n",
            "teacher = { architecture = [\"wrn-28-3\", \"wrn-28-4\", \"wrn-28-6\", \"wrn-28-8\"], epochs = [35, 50, 65, 80, 200] }\n\
             treatment = { kd_stop_epoch = [0, 200] }\n",
        ],
    },
    Card {
        slug: "dense-student",
        question: "Do the same teachers suit a DenseNet?",
        finding: "They do not suit it better: the deepest and the widest teachers have worse students than smaller ones.",
        claim: Claim::SmallestTeacherAboveLargest,
        students: [("densenet-bc-40-12", 12), ("densenet-bc-40-12", 15), ("densenet-bc-40-12", 200)],
        bodies: [
            "teacher = { architecture = [\"wrn-10-1\", \"wrn-10-4\"], epochs = 12 }\n\
             treatment = { kd_stop_epoch = [0, 12] }\n",
            "teacher = { architecture = [\"wrn-16-1\", \"wrn-16-4\"], epochs = 15 }\n\
             treatment = { kd_stop_epoch = [0, 15] }\n",
            "teacher = { architecture = [\"wrn-40-1\", \"wrn-100-1\", \"wrn-250-1\", \"wrn-16-3\", \"wrn-16-4\", \"wrn-16-6\", \"wrn-16-8\", \"wrn-28-3\", \"wrn-28-4\", \"wrn-28-6\", \"wrn-28-8\"], epochs = 200 }\n\
             treatment = { kd_stop_epoch = [0, 200] }\n",
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_card_is_a_study_of_every_size() {
        for card in CARDS {
            for size in Size::ALL {
                let study = card.study(size);
                assert_eq!((study.title.as_str(), study.dataset), (card.question, size.dataset()));
                assert!(study.check().is_empty(), "{}, {}", card.slug, size.name());
                assert!(study.treatment.is_some_and(|treatment| treatment.distils()));
            }
            assert_eq!(Card::of_slug(card.slug), CARDS.iter().find(|it| **it == card));
        }
        assert_eq!(CARDS.iter().map(|card| card.slug).collect::<BTreeSet<_>>().len(), CARDS.len());
    }
}
