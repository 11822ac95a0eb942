//! The form's fields: what each is called, how it is explained, and where it stands in the study file.

use study::{Method, Number};

/// One field of the form.
pub struct Field {
    /// The path in the study file: the key of its errors too.
    pub path: &'static str,
    pub label: &'static str,
    /// What it means, in a sentence.
    pub hint: &'static str,
    pub entry: Entry,
    /// What stands there in a new study.
    pub first: &'static str,
}

/// How a field is filled in.
pub enum Entry {
    /// Words, taken as they are.
    Words,
    /// One value, with suggestions.
    Value(&'static [&'static str]),
    /// One value or several with commas between, with suggestions.
    Values(&'static [&'static str]),
    /// As `Values`, and always a list in the file.
    List,
    /// As `Values`, each a chain of networks; "none" stands for the empty one.
    Chains(&'static [&'static str]),
    /// One of these; the empty one leaves the field out.
    OneOf(&'static [(&'static str, &'static str)]),
    /// Any of these, or none, which leaves the field out.
    AnyOf(&'static [(&'static str, &'static str)]),
    /// Yes, or left out.
    Check,
}

const NETWORKS: &[&str] = &[
    "wrn-10-1",
    "wrn-16-1",
    "wrn-16-2",
    "wrn-16-4",
    "wrn-16-8",
    "wrn-22-1",
    "wrn-28-1",
    "wrn-28-2",
    "wrn-40-1",
    "wrn-40-2",
    "resnet8",
    "resnet14",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet8x4",
    "resnet32x4",
    "resnet18",
    "resnet34",
    "resnet50",
    "densenet-40-12",
    "densenet-40-24",
    "densenet-40-48",
    "densenet-100-12",
    "densenet-100-24",
    "densenet-bc-40-12",
    "densenet-bc-40-24",
    "densenet-bc-40-48",
    "densenet-bc-100-12",
    "densenet-bc-100-24",
];

pub const TITLE: Field = Field {
    path: "title",
    label: "Question",
    hint: "What this study is to answer; it becomes the page’s title.",
    entry: Entry::Words,
    first: "When should distillation stop?",
};

pub const DATASET: Field = Field {
    path: "dataset",
    label: "Images",
    hint: "What is trained and tested on. The 12,000 images are built in.",
    entry: Entry::OneOf(&[
        ("fashion-mnist-12k", "Fashion-MNIST, 12,000 images"),
        ("fashion-mnist", "Fashion-MNIST, all"),
        ("mnist", "MNIST"),
        ("cifar-10", "CIFAR-10"),
        ("cifar-100", "CIFAR-100"),
        ("tiny-imagenet", "Tiny-ImageNet"),
    ]),
    first: "fashion-mnist-12k",
};

pub const SEEDS: Field = Field {
    path: "seeds",
    label: "Seeds",
    hint: "Every arm is trained once a seed. More seeds, narrower intervals; 5 where left empty.",
    entry: Entry::Value(&["2", "3", "5", "10"]),
    first: "3",
};

pub const STUDENT: [Field; 2] = [
    Field {
        path: "student.architecture",
        label: "Student’s network",
        hint: "A Wide ResNet, wrn-DEPTH-WIDTH with a depth of 6n + 4; a ResNet or a DenseNet, such as resnet8x4 or densenet-bc-40-12; for \
               images of 32 pixels and more resnet18, resnet34, resnet50.",
        entry: Entry::Values(NETWORKS),
        first: "wrn-10-1",
    },
    Field {
        path: "student.epochs",
        label: "Student’s epochs",
        hint: "How long the student trains.",
        entry: Entry::Values(&["5", "10", "20", "50", "200"]),
        first: "20",
    },
];

/// Where imported teachers are offered too.
pub const TEACHERS: &str = "teacher.architecture";

pub const TEACHER: [Field; 3] = [
    Field {
        path: TEACHERS,
        label: "Teacher’s network",
        hint: "Usually deeper or wider than the student, of any kind; or one that was imported.",
        entry: Entry::Values(NETWORKS),
        first: "wrn-16-2",
    },
    Field {
        path: "teacher.epochs",
        label: "Teacher’s epochs",
        hint: "The length of its own training and learning-rate schedule.",
        entry: Entry::Values(&["5", "10", "20", "50", "200", "35, 50, 65, 80, 200"]),
        first: "20",
    },
    Field {
        path: "teacher.per_seed",
        label: "A teacher for each seed",
        hint: "Otherwise one teacher (seed 0) serves all seeds, as in the paper, and intervals speak of students of that one.",
        entry: Entry::Check,
        first: "",
    },
];

pub const METHOD: Field = Field {
    path: "treatment.method",
    label: "Methods",
    hint: "How the student is taught; an arm for each. None of them: from labels alone.",
    entry: Entry::AnyOf(&[
        ("kd", "Knowledge distillation (Hinton et al. 2015)"),
        ("standardised-kd", "KD of standardised logits (Sun et al. 2024)"),
        ("at", "Attention transfer (Zagoruyko & Komodakis 2017)"),
        ("kd-at", "KD and attention transfer together"),
        ("dkd", "Decoupled KD (Zhao et al. 2022)"),
        ("dist", "DIST: correlations (Huang et al. 2022)"),
        ("dot", "DOT: KD with two momenta (Zhao et al. 2023)"),
        ("rco", "RCO: a curriculum of the teacher’s epochs (Jin et al. 2019)"),
    ]),
    first: "kd",
};

/// Of these, numbers of methods are shown where one of the chosen methods has them ([`methods`]).
pub const TREATMENT: [Field; 13] = [
    Field {
        path: "treatment.kd_stop_epoch",
        label: "KD stop epoch",
        hint: "Distillation ends here and labels alone go on. 0 never starts it: the baseline. Empty: to the end.",
        entry: Entry::Values(&["0", "0, 8, 20", "0, 4, 8, 12, 16, 20"]),
        first: "0, 8, 20",
    },
    Field {
        path: "treatment.teacher_stop_epoch",
        label: "Teacher stop epoch",
        hint: "The teacher is taken as it was after this epoch. Empty: trained to its end.",
        entry: Entry::Values(&["8", "20", "8, 20"]),
        first: "8, 20",
    },
    Field {
        path: "treatment.temperature",
        label: "Temperature",
        hint: "Softens the teacher’s and the student’s outputs. Empty: each method’s own: 4, of standardised logits 2, of DIST 1.",
        entry: Entry::Values(&["1", "4", "16", "1, 4, 16"]),
        first: "",
    },
    Field {
        path: "treatment.kd_weight",
        label: "KD weight",
        hint: "From 0 (labels only) to 1 (teacher only), labels have the rest; of standardised logits up to 1000 beside 0.1. Empty: 0.9, \
               and 9 there.",
        entry: Entry::Values(&["0.5", "0.9", "1", "0.1, 0.5, 0.9"]),
        first: "",
    },
    Field {
        path: "treatment.attention_weight",
        label: "Attention weight",
        hint: "Of attention transfer beside the labels’ loss; 1000 where left empty.",
        entry: Entry::Values(&["1000", "100, 1000"]),
        first: "",
    },
    Field {
        path: "treatment.target_weight",
        label: "Target weight",
        hint: "Of how sure the teacher is of the label’s class; 1 where left empty.",
        entry: Entry::Values(&["1", "0, 1"]),
        first: "",
    },
    Field {
        path: "treatment.non_target_weight",
        label: "Non-target weight",
        hint: "Of what the teacher says of the other classes; 8 where left empty.",
        entry: Entry::Values(&["8", "1, 8"]),
        first: "",
    },
    Field {
        path: "treatment.warm_up_epochs",
        label: "Warm-up epochs",
        hint: "Over these the two weights rise to their size; 0: at once. 20 where left empty.",
        entry: Entry::Values(&["0", "20", "0, 20"]),
        first: "",
    },
    Field {
        path: "treatment.between_weight",
        label: "Between-class weight",
        hint: "Of how an image’s classes go together; 1 where left empty.",
        entry: Entry::Values(&["1", "0, 1"]),
        first: "",
    },
    Field {
        path: "treatment.within_weight",
        label: "Within-class weight",
        hint: "Of how a batch’s images go together in each class; 1 where left empty.",
        entry: Entry::Values(&["1", "0, 1"]),
        first: "",
    },
    Field {
        path: "treatment.momentum_difference",
        label: "Momentum difference",
        hint: "More momentum for the teacher’s gradient, less for the labels’; 0.075 where left empty.",
        entry: Entry::Values(&["0.075", "0.05, 0.075, 0.09"]),
        first: "",
    },
    Field {
        path: "treatment.anchors",
        label: "Anchors",
        hint: "The teacher’s checkpoints at equal intervals that teach one after the other; 4 where left empty.",
        entry: Entry::Values(&["4", "2, 4, 8"]),
        first: "",
    },
    Field {
        path: "treatment.cross_entropy_weight_after_stop",
        label: "Label weight after the stop",
        hint: "Weight of the labels’ loss once distillation has stopped.",
        entry: Entry::Values(&["1", "0.1", "0.1, 1"]),
        first: "1",
    },
];

/// Who stands between teacher and student.
pub const LINE: [Field; 3] = [
    Field {
        path: "treatment.chain",
        label: "Chain",
        hint: "Networks between teacher and student, each taught by the one before; @8 stops one after 8 epochs. “none, wrn-16-1” \
               compares.",
        entry: Entry::Chains(&["wrn-16-1", "none, wrn-16-1", "wrn-28-2 > wrn-16-1@8"]),
        first: "",
    },
    Field {
        path: "treatment.generations",
        label: "Generations",
        hint: "So many students one after the other, each taught by the one before; an arm each. Empty: one.",
        entry: Entry::Value(&["2", "5"]),
        first: "",
    },
    Field {
        path: "treatment.generation_stop_epoch",
        label: "Generation stop epoch",
        hint: "A generation is taken as it was after this epoch to teach the next. Empty: trained to its end.",
        entry: Entry::Values(&["8", "8, 20"]),
        first: "",
    },
];

pub const SEARCH: [Field; 2] = [
    Field {
        path: "search.budget_epochs",
        label: "Budget (epochs)",
        hint: "Trains the arms in rounds and drops the worse of them, by validation, within so many epochs. Empty: all are trained.",
        entry: Entry::Value(&["500", "2000"]),
        first: "",
    },
    Field {
        path: "search.promote_one_in",
        label: "Promote one in",
        hint: "Of so many arms the best goes on after each round; 3 where left empty.",
        entry: Entry::Value(&["2", "3"]),
        first: "",
    },
];

pub const RECIPE: [Field; 12] = [
    Field {
        path: "validation",
        label: "Validation images",
        hint: "Held out of the training images. Empty: the data set’s own split; 0: none, as published.",
        entry: Entry::Value(&["0", "5000"]),
        first: "",
    },
    Field {
        path: "recipe.batch_size",
        label: "Batch size",
        hint: "Images a step; 128 where left empty.",
        entry: Entry::Value(&["64", "128", "256"]),
        first: "",
    },
    Field {
        path: "recipe.learning_rate",
        label: "Learning rate",
        hint: "At the start; 0.1 where left empty.",
        entry: Entry::Value(&["0.05", "0.1"]),
        first: "",
    },
    Field {
        path: "recipe.learning_rate_decay",
        label: "Learning-rate factor",
        hint: "Multiplies the learning rate at each drop; 0.2 where left empty.",
        entry: Entry::Value(&["0.1", "0.2"]),
        first: "",
    },
    Field {
        path: "recipe.drop_every",
        label: "Drop every (epochs)",
        hint: "Three drops. Empty: after each three tenths of a training.",
        entry: Entry::Value(&["6", "60"]),
        first: "",
    },
    Field {
        path: "recipe.drop_epochs",
        label: "Drop at (epochs)",
        hint: "Instead of “drop every”: the epochs themselves, rising.",
        entry: Entry::List,
        first: "",
    },
    Field {
        path: "recipe.momentum",
        label: "Momentum",
        hint: "0.9 where left empty.",
        entry: Entry::Value(&["0", "0.9"]),
        first: "",
    },
    Field {
        path: "recipe.weight_decay",
        label: "Weight decay",
        hint: "0.0005 where left empty.",
        entry: Entry::Value(&["0", "0.0001", "0.0005"]),
        first: "",
    },
    Field {
        path: "recipe.augmentation",
        label: "Augmentation",
        hint: "How each image is varied each time it is shown.",
        entry: Entry::OneOf(&[
            ("", "Usual for the images"),
            ("none", "None"),
            ("crop", "Padded by 4 and cropped"),
            ("crop-flip", "Cropped and mirrored"),
        ]),
        first: "",
    },
    Field {
        path: "recipe.augmentation_seed",
        label: "Images are varied",
        hint: "The same way for all seeds, each teacher is asked less; seeds are then a little less independent.",
        entry: Entry::OneOf(&[("", "In another way for each seed"), ("shared", "The same way for all seeds")]),
        first: "",
    },
    Field {
        path: "recipe.device",
        label: "Device",
        hint: "auto, cpu or cuda:N; auto where left empty.",
        entry: Entry::Value(&["auto", "cpu", "cuda:0"]),
        first: "",
    },
    Field {
        path: "recipe.evaluate_test",
        label: "Test images are looked at",
        hint: "The accuracy of a run is always that of its last epoch.",
        entry: Entry::OneOf(&[("", "At stops, at the best and at the end"), ("every-epoch", "After every epoch")]),
        first: "",
    },
];

/// Every field, in the order of the study file.
pub fn all() -> impl Iterator<Item = &'static Field> {
    const FIRST: &[Field] = &[TITLE, DATASET, SEEDS];
    const STUDENT_FIELDS: &[Field] = &STUDENT;
    const TEACHER_FIELDS: &[Field] = &TEACHER;
    const METHOD_FIELD: &[Field] = &[METHOD];
    const TREATMENT_FIELDS: &[Field] = &TREATMENT;
    const LINE_FIELDS: &[Field] = &LINE;
    const RECIPE_FIELDS: &[Field] = &RECIPE;
    const SEARCH_FIELDS: &[Field] = &SEARCH;
    [FIRST, STUDENT_FIELDS, TEACHER_FIELDS, METHOD_FIELD, TREATMENT_FIELDS, LINE_FIELDS, RECIPE_FIELDS, SEARCH_FIELDS]
        .into_iter()
        .flatten()
}

/// The methods that have the number which a field is; `None` where it is none, and counts for all of them.
pub fn methods(field: &Field) -> Option<impl Iterator<Item = Method>> {
    let name = field.path.strip_prefix("treatment.")?;
    let number = Number::ALL.into_iter().find(|number| number.field() == name)?;
    Some(Method::ALL.into_iter().filter(move |method| method.has(number)))
}

/// An element's name for a field: ids must not hold dots where style sheets and scripts pick them.
pub fn element_id(path: &str) -> String {
    path.replace(['.', '_'], "-")
}
