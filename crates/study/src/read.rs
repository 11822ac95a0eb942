//! Reading a study out of a table, field by field, so that everything wrong is told at once and in the order of the file.

use crate::{
    Architecture, Augmentation, Choices, Dataset, Device, EvaluateTest, Method, Plan, Recipe, SpecError, Student,
    Study, TeacherChoices, Treatment, check,
};
use std::{fmt::Display, ops::RangeInclusive};
use toml::{Table, Value};

const STUDY: &[&str] = &["title", "dataset", "validation", "seeds", "student", "teacher", "treatment", "recipe"];
const STUDENT: &[&str] = &["architecture", "epochs"];
const TEACHER: &[&str] = &["architecture", "epochs", "per_seed"];
const TREATMENT: &[&str] =
    &["method", "temperature", "kd_weight", "kd_stop_epoch", "teacher_stop_epoch", "cross_entropy_weight_after_stop"];
const RECIPE: &[&str] = &[
    "batch_size",
    "learning_rate",
    "learning_rate_decay",
    "drop_every",
    "drop_epochs",
    "momentum",
    "weight_decay",
    "augmentation",
    "device",
    "evaluate_test",
];

/// Unknown fields told one by one in each table; the rest are only counted.
const UNKNOWN_MAX: usize = 10;
/// Characters of what was given that are repeated in an error.
const GIVEN_MAX: usize = 60;

pub(crate) fn study(table: &Table) -> Result<Study, Vec<SpecError>> {
    let mut errors = Vec::new();
    let top = Section { name: "", fields: STUDY, table: Some(table) };
    let title = top.required("title", &title(), &mut errors);
    let dataset = top.required("dataset", &dataset(), &mut errors);
    let validation = top.optional("validation", &whole(check::VALIDATION, ""), &mut errors);
    let seeds = top.optional("seeds", &whole(check::SEEDS, ""), &mut errors).unwrap_or(Study::SEEDS_DEFAULT);
    let student = student(&top.section("student", STUDENT, &mut errors), &mut errors);
    let (teacher, treatment) = teaching(&top, student.epochs.as_ref(), &mut errors);
    let recipe = recipe(&top.section("recipe", RECIPE, &mut errors), dataset, &mut errors);
    top.refuse_unknown(&mut errors);

    let study = (|| {
        Some(Study {
            title: title?,
            dataset: dataset?,
            validation,
            seeds,
            student: Student { architecture: student.architecture?, epochs: student.epochs? },
            teacher,
            treatment,
            recipe,
        })
    })();
    match study {
        Some(study) if errors.is_empty() => too_many_runs(&study).map_or(Ok(study), |error| Err(vec![error])),
        _ => Err(errors),
    }
}

/// Which line of the file is not TOML, and why.
pub(crate) fn syntax_error(text: &str, error: &toml::de::Error) -> SpecError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count();
    let given = text.lines().nth(line).unwrap_or_default();
    SpecError {
        field: String::new(),
        problem: format!("line {} is not TOML: {}", line + 1, error.message()),
        given: shortened(given.trim()),
        allowed: "a study file in TOML".into(),
    }
}

struct Networks {
    architecture: Option<Choices<Architecture>>,
    epochs: Option<Choices<u32>>,
}

fn networks(section: &Section<'_>, errors: &mut Vec<SpecError>) -> Networks {
    Networks {
        architecture: section.required_choices("architecture", &architecture(), errors),
        epochs: section.required_choices("epochs", &whole(check::EPOCHS, ""), errors),
    }
}

fn student(section: &Section<'_>, errors: &mut Vec<SpecError>) -> Networks {
    let student = networks(section, errors);
    section.refuse_unknown(errors);
    student
}

/// Teacher and treatment, whose rules lean on each other: a teacher is needed where an arm distils, and each stop must lie
/// within its own training.
fn teaching(
    top: &Section<'_>,
    student_epochs: Option<&Choices<u32>>,
    errors: &mut Vec<SpecError>,
) -> (Option<TeacherChoices>, Option<Treatment>) {
    let teacher_section = top.section("teacher", TEACHER, errors);
    // In the file's order the treatment follows the teacher; its errors wait until the teacher's are told.
    let mut later = Vec::new();
    let section = top.section("treatment", TREATMENT, &mut later);
    let method = section.choices("method", &named(&[("kd", Method::Kd)]), &mut later);
    let temperature = section.choices("temperature", &number(check::TEMPERATURE), &mut later);
    let kd_weight = section.choices("kd_weight", &number(check::KD_WEIGHT), &mut later);

    let weighs = kd_weight.as_ref().is_none_or(|weights| weights.0.iter().any(|weight| *weight > 0.0));
    let student_last = student_epochs.filter(|_| weighs).and_then(|epochs| epochs.0.iter().min().copied());
    let within_student = whole(0..=student_last.unwrap_or(*check::EPOCHS.end()), "is beyond the student's last epoch");
    let kd_stop_epoch = section.choices("kd_stop_epoch", &within_student, &mut later);

    let starts = kd_stop_epoch.as_ref().is_none_or(|stops| stops.0.iter().any(|stop| *stop > 0));
    let distils = section.table.is_some() && weighs && starts;
    let teacher_is_read = distils || teacher_section.table.is_some();
    let teacher = teacher_is_read.then(|| networks(&teacher_section, errors));
    let per_seed = teacher_section.optional("per_seed", &boolean(), errors);
    teacher_section.refuse_unknown(errors);

    let teacher_epochs = teacher.as_ref().filter(|_| distils).and_then(|teacher| teacher.epochs.as_ref());
    let teacher_last = teacher_epochs.and_then(|epochs| epochs.0.iter().min().copied());
    let within_teacher = whole(1..=teacher_last.unwrap_or(*check::EPOCHS.end()), "is beyond the teacher's last epoch");
    let teacher_stop_epoch = section.choices("teacher_stop_epoch", &within_teacher, &mut later);
    let after_stop =
        section.choices("cross_entropy_weight_after_stop", &number(check::CROSS_ENTROPY_WEIGHT_AFTER_STOP), &mut later);
    section.refuse_unknown(&mut later);
    errors.append(&mut later);

    let teacher = teacher.and_then(|teacher| {
        Some(TeacherChoices {
            architecture: teacher.architecture?,
            epochs: teacher.epochs?,
            per_seed: per_seed.unwrap_or(false),
        })
    });
    let treatment = section.table.map(|_| Treatment {
        method: method.unwrap_or_else(Treatment::method_default),
        temperature: temperature.unwrap_or_else(Treatment::temperature_default),
        kd_weight: kd_weight.unwrap_or_else(Treatment::kd_weight_default),
        kd_stop_epoch,
        teacher_stop_epoch,
        cross_entropy_weight_after_stop: after_stop.unwrap_or_else(Treatment::cross_entropy_weight_after_stop_default),
    });
    (teacher, treatment)
}

fn recipe(section: &Section<'_>, dataset: Option<Dataset>, errors: &mut Vec<SpecError>) -> Recipe {
    let default = Recipe::default();
    let batch_size = section.optional("batch_size", &whole(check::BATCH_SIZE, ""), errors);
    let learning_rate = section.optional("learning_rate", &number(check::LEARNING_RATE), errors);
    let learning_rate_decay = section.optional("learning_rate_decay", &number(check::LEARNING_RATE_DECAY), errors);
    let drop_every = section.optional("drop_every", &whole(check::EPOCHS, ""), errors);
    let drop_epochs = drop_epochs(section, errors);
    let momentum = section.optional("momentum", &number(check::MOMENTUM), errors);
    let weight_decay = section.optional("weight_decay", &number(check::WEIGHT_DECAY), errors);
    let augmentation = section.optional("augmentation", &augmentation(dataset), errors);
    let device = section.optional("device", &device(), errors);
    let evaluate_test = [("checkpoints", EvaluateTest::Checkpoints), ("every-epoch", EvaluateTest::EveryEpoch)];
    let evaluate_test = section.optional("evaluate_test", &named(&evaluate_test), errors);
    section.refuse_unknown(errors);
    Recipe {
        batch_size: batch_size.unwrap_or(default.batch_size),
        learning_rate: learning_rate.unwrap_or(default.learning_rate),
        learning_rate_decay: learning_rate_decay.unwrap_or(default.learning_rate_decay),
        drop_every,
        drop_epochs,
        momentum: momentum.unwrap_or(default.momentum),
        weight_decay: weight_decay.unwrap_or(default.weight_decay),
        augmentation,
        device: device.unwrap_or(default.device),
        evaluate_test: evaluate_test.unwrap_or(default.evaluate_test),
    }
}

/// A list even where it has one value or none: an empty one says that the rate never drops.
fn drop_epochs(section: &Section<'_>, errors: &mut Vec<SpecError>) -> Option<Vec<u32>> {
    let value = section.value("drop_epochs")?;
    if section.value("drop_every").is_some() {
        errors.push(section.error("drop_epochs", "stands beside drop_every", value, "one of drop_every, drop_epochs"));
    }
    let allowed = format!("a rising list of up to {} epochs, each {}", check::CHOICES_MAX, epoch_range());
    let Some(list) = value.as_array().filter(|list| list.len() <= check::CHOICES_MAX) else {
        errors.push(section.error("drop_epochs", "is not such a list", value, &allowed));
        return None;
    };
    let drops = section.elements("drop_epochs", list, &whole(check::EPOCHS, ""), errors)?;
    if !drops.is_sorted_by(|one, next| one < next) {
        let given = format!("{drops:?}");
        errors.push(section.error_given("drop_epochs", "does not rise", &given, &allowed));
    }
    Some(drops)
}

fn epoch_range() -> String {
    check::allowed_range(&check::EPOCHS)
}

/// How many runs a study comes to is known before any is made.
fn too_many_runs(study: &Study) -> Option<SpecError> {
    let arms = study.arms_count();
    let runs = arms.saturating_mul(u64::from(study.seeds));
    (runs > Plan::RUNS_MAX).then(|| SpecError {
        field: String::new(),
        problem: "the lists multiply to too many runs".into(),
        given: format!("{runs} runs ({arms} arms × {} seeds)", study.seeds),
        allowed: format!("up to {} runs", Plan::RUNS_MAX),
    })
}

/// How one value is read, and what it may be.
struct Kind<T> {
    allowed: String,
    /// What is wrong with a value, in words.
    read: Box<dyn Fn(&Value) -> Result<T, String>>,
}

impl<T> Kind<T> {
    fn new(allowed: impl Display, read: impl Fn(&Value) -> Result<T, String> + 'static) -> Kind<T> {
        Kind { allowed: allowed.to_string(), read: Box::new(read) }
    }
}

fn title() -> Kind<String> {
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

fn dataset() -> Kind<Dataset> {
    Kind::new(Dataset::ALL.map(Dataset::name).join(", "), |value| {
        let name = value.as_str().ok_or("is not a text")?;
        name.parse().map_err(|_| "is not a data set known here".into())
    })
}

fn architecture() -> Kind<Architecture> {
    Kind::new(Architecture::ALLOWED, |value| {
        let name = value.as_str().ok_or("is not a text")?;
        name.parse().map_err(|_| "is not a network known here".into())
    })
}

fn device() -> Kind<Device> {
    Kind::new(Device::ALLOWED, |value| {
        let name = value.as_str().ok_or("is not a text")?;
        Device::try_from(name.to_owned()).map_err(|_| "is not a device".into())
    })
}

fn augmentation(dataset: Option<Dataset>) -> Kind<Augmentation> {
    let digits = dataset.is_some_and(Dataset::digits);
    Kind::new(check::augmentations(dataset), move |value| match value.as_str() {
        Some("none") => Ok(Augmentation::None),
        Some("crop") => Ok(Augmentation::Crop),
        Some("crop-flip") if digits => Err("would mirror digits".into()),
        Some("crop-flip") => Ok(Augmentation::CropFlip),
        _ => Err("is none of these".into()),
    })
}

fn named<T: Copy + 'static>(names: &[(&'static str, T)]) -> Kind<T> {
    let allowed: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    let names = names.to_vec();
    Kind::new(allowed.join(", "), move |value| {
        let given = value.as_str().ok_or("is not a text")?;
        let found = names.iter().find(|(name, _)| *name == given);
        found.map(|(_, named)| *named).ok_or_else(|| "is none of these".into())
    })
}

fn boolean() -> Kind<bool> {
    Kind::new("true, false", |value| value.as_bool().ok_or_else(|| "is neither true nor false".into()))
}

/// `beyond`: what to say of a number above the range; empty for a plain "is out of range".
fn whole(range: RangeInclusive<u32>, beyond: &'static str) -> Kind<u32> {
    Kind::new(check::allowed_range(&range), move |value| {
        let given = value.as_integer().ok_or("is not a whole number")?;
        match u32::try_from(given) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ if given > i64::from(*range.end()) && !beyond.is_empty() => Err(beyond.into()),
            _ => Err("is out of range".into()),
        }
    })
}

fn number(interval: check::Interval) -> Kind<f64> {
    Kind::new(interval.allowed(), move |value| {
        let number = match value {
            Value::Integer(integer) => *integer as f64,
            Value::Float(float) => *float,
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

/// One table of the file.
struct Section<'a> {
    /// Empty for the file itself.
    name: &'static str,
    fields: &'static [&'static str],
    /// `None` where the file has no such table, which reads like an empty one.
    table: Option<&'a Table>,
}

impl<'a> Section<'a> {
    fn value(&self, field: &str) -> Option<&'a Value> {
        self.table?.get(field)
    }

    fn section(&self, name: &'static str, fields: &'static [&'static str], errors: &mut Vec<SpecError>) -> Section<'a> {
        let value = self.value(name);
        let table = value.and_then(Value::as_table);
        if let (Some(value), None) = (value, table) {
            let allowed = format!("a table [{name}] of {}", fields.join(", "));
            errors.push(self.error(name, "is not a table", value, &allowed));
        }
        Section { name, fields, table }
    }

    fn optional<T>(&self, field: &str, kind: &Kind<T>, errors: &mut Vec<SpecError>) -> Option<T> {
        let value = self.value(field)?;
        (kind.read)(value).map_err(|problem| errors.push(self.error(field, &problem, value, &kind.allowed))).ok()
    }

    fn required<T>(&self, field: &str, kind: &Kind<T>, errors: &mut Vec<SpecError>) -> Option<T> {
        self.require(field, &kind.allowed, errors);
        self.optional(field, kind, errors)
    }

    /// One value or a list of them; `None` where the field is absent or wrong.
    fn choices<T: Clone + PartialEq>(
        &self,
        field: &str,
        kind: &Kind<T>,
        errors: &mut Vec<SpecError>,
    ) -> Option<Choices<T>> {
        let list = match self.value(field)? {
            Value::Array(list) => list,
            _ => return self.optional(field, kind, errors).map(Choices::from),
        };
        if !(1..=check::CHOICES_MAX).contains(&list.len()) {
            let problem = if list.is_empty() { "is an empty list" } else { "is too long a list" };
            let allowed = format!("one value, or a list of 1 to {}; each {}", check::CHOICES_MAX, kind.allowed);
            errors.push(self.error_given(field, problem, &format!("{} values", list.len()), &allowed));
            return None;
        }
        let values = self.elements(field, list, kind, errors)?;
        for (index, value) in values.iter().enumerate() {
            if values[..index].contains(value) {
                let problem = format!("says a value again (number {} of the list)", index + 1);
                errors.push(self.error(field, &problem, &list[index], "each value once"));
            }
        }
        Some(Choices(values))
    }

    fn required_choices<T: Clone + PartialEq>(
        &self,
        field: &str,
        kind: &Kind<T>,
        errors: &mut Vec<SpecError>,
    ) -> Option<Choices<T>> {
        self.require(field, &kind.allowed, errors);
        self.choices(field, kind, errors)
    }

    /// Every element, or none where one is wrong: each wrong one is told.
    fn elements<T>(&self, field: &str, list: &[Value], kind: &Kind<T>, errors: &mut Vec<SpecError>) -> Option<Vec<T>> {
        let mut values = Vec::new();
        for (index, element) in list.iter().enumerate() {
            match (kind.read)(element) {
                Ok(value) => values.push(value),
                Err(problem) => {
                    let problem = format!("{problem} (number {} of the list)", index + 1);
                    errors.push(self.error(field, &problem, element, &kind.allowed));
                }
            }
        }
        (values.len() == list.len()).then_some(values)
    }

    fn require(&self, field: &str, allowed: &str, errors: &mut Vec<SpecError>) {
        if self.value(field).is_none() {
            errors.push(self.error_given(field, "is missing", "nothing", allowed));
        }
    }

    /// Refuses the fields that this table does not have, naming those it has, the most alike first.
    fn refuse_unknown(&self, errors: &mut Vec<SpecError>) {
        let unknown: Vec<&String> =
            self.table.into_iter().flat_map(Table::keys).filter(|key| !self.fields.contains(&key.as_str())).collect();
        for name in unknown.iter().take(UNKNOWN_MAX) {
            let name = shortened(name);
            let mut allowed = self.fields.to_vec();
            allowed.sort_by_key(|field| edits(&name, field));
            errors.push(self.error_given(&name, "is not a field of a study", &name, &allowed.join(", ")));
        }
        if unknown.len() > UNKNOWN_MAX {
            let given = format!("{} more such fields", unknown.len() - UNKNOWN_MAX);
            let field = self.name.to_owned();
            let problem = "has fields that no study has".into();
            errors.push(SpecError { field, problem, given, allowed: self.fields.join(", ") });
        }
    }

    fn error(&self, field: &str, problem: &str, given: &Value, allowed: &str) -> SpecError {
        self.error_given(field, problem, &written(given), allowed)
    }

    fn error_given(&self, field: &str, problem: &str, given: &str, allowed: &str) -> SpecError {
        let field = if self.name.is_empty() { field.to_owned() } else { format!("{}.{field}", self.name) };
        SpecError { field, problem: problem.into(), given: given.into(), allowed: allowed.into() }
    }
}

/// A value as it was written, kept short.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", shortened(text)),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Table(_) => "a table".into(),
        _ => value.to_string(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(GIVEN_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Levenshtein's distance: insertions, deletions and replacements from one name to the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, character) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
