//! Reading a study out of a table, field by field, so that everything wrong is told at once and in the order of the file.

use crate::{
    Architecture, AugmentationSeed, Chain, Choices, Dataset, Device, EvaluateTest, Method, Number, Plan, Recipe,
    Search, SpecError, Student, Study, TeacherChoices, TeacherNetwork, Treatment,
    check::{self, Interval},
    count, fitting,
    kinds::{Kind, architecture, augmentation, boolean, chain, dataset, device, named, number, teacher, title, whole},
    section::Section,
};
use std::cmp::Ordering;
use toml::Table;

const STUDY: &[&str] =
    &["title", "dataset", "validation", "seeds", "student", "teacher", "treatment", "recipe", "search"];
const STUDENT: &[&str] = &["architecture", "epochs"];
const TEACHER: &[&str] = &["architecture", "epochs", "per_seed"];
const TREATMENT: &[&str] = &[
    "method",
    "temperature",
    "kd_weight",
    "attention_weight",
    "target_weight",
    "non_target_weight",
    "warm_up_epochs",
    "between_weight",
    "within_weight",
    "momentum_difference",
    "anchors",
    "kd_stop_epoch",
    "teacher_stop_epoch",
    "chain",
    "generations",
    "generation_stop_epoch",
    "cross_entropy_weight_after_stop",
];
const SEARCH: &[&str] = &["budget_epochs", "promote_one_in"];
const RECIPE: &[&str] = &[
    "batch_size",
    "learning_rate",
    "learning_rate_decay",
    "drop_every",
    "drop_epochs",
    "momentum",
    "weight_decay",
    "augmentation",
    "augmentation_seed",
    "device",
    "evaluate_test",
];

pub(crate) fn study(table: &Table) -> Result<Study, Vec<SpecError>> {
    let Understood { study, mut errors, .. } = understand(table);
    sort(&mut errors);
    study.ok_or(errors)
}

/// What could be read of a table. A field is `None` where it is wrong, so that rules which need it wait until it is right.
pub(crate) struct Understood {
    /// `None` where there is any error.
    pub study: Option<Study>,
    pub dataset: Option<Dataset>,
    /// Inside, `None` where the table says nothing of it.
    pub validation: Option<Option<u32>>,
    pub student: Vec<Architecture>,
    /// Those that teach: none where no arm distils.
    pub teacher: Vec<TeacherNetwork>,
    /// All who stand between teachers and students.
    pub chain: Vec<Architecture>,
    /// Whether students teach too, as generations do.
    pub students_teach: bool,
    /// The most [gradients](Optimizer::gradients) that a student's step takes.
    pub gradients: u32,
    pub batch_size: Option<u32>,
    pub device: Option<Device>,
    /// In no order yet: see [`sort`].
    pub errors: Vec<SpecError>,
}

pub(crate) fn understand(table: &Table) -> Understood {
    let mut errors = Vec::new();
    let top = Section { name: "", fields: STUDY, table: Some(table) };
    let title = top.required("title", &title(), &mut errors);
    let dataset = top.required("dataset", &dataset(), &mut errors);
    let validation = top.or("validation", &whole(check::VALIDATION, "").map(Some), None, &mut errors);
    let seeds = top.or("seeds", &whole(check::SEEDS, ""), Study::SEEDS_DEFAULT, &mut errors);
    let student = student(&top.section("student", STUDENT, &mut errors), &mut errors);
    let FromRecipe { recipe, batch_size, device, momentum } =
        recipe(&top.section("recipe", RECIPE, &mut errors), dataset, &mut errors);
    let Teaching { teacher, per_seed, treatment, distils } = teaching(&top, &student, momentum, &mut errors);
    let search = search(
        &top.section("search", SEARCH, &mut errors),
        &student,
        treatment.as_ref().filter(|_| distils),
        validation.flatten(),
        recipe.evaluate_test,
        &mut errors,
    );
    top.refuse_unknown(&mut errors);
    errors.extend(too_many_runs(seeds, &student, teacher.as_ref(), treatment.as_ref()));

    let trained_teacher = teacher.as_ref().filter(|_| distils);
    let teaching = treatment.as_ref().filter(|_| distils);
    let chains = teaching.and_then(|treatment| treatment.chain.as_ref()).map_or(&[][..], |chains| &chains.0);
    let mut understood = Understood {
        study: None,
        dataset,
        validation,
        student: student.architecture.clone().map_or_else(Vec::new, |choices| choices.0),
        teacher: trained_teacher.and_then(|teacher| teacher.architecture.clone()).map_or_else(Vec::new, |it| it.0),
        chain: chains.iter().flat_map(|chain| &chain.0).map(|member| member.architecture).collect(),
        students_teach: teaching.is_some_and(|treatment| treatment.generations() > 1),
        gradients: if teaching.is_some_and(|treatment| treatment.method.0.contains(&Method::Dot)) { 2 } else { 1 },
        batch_size,
        device,
        errors,
    };
    if let Some(dataset) = dataset {
        refuse_networks(&mut understood, dataset, teaching);
    }
    if understood.errors.is_empty() {
        understood.study = (|| {
            Some(Study {
                title: title?,
                dataset: dataset?,
                validation: validation?,
                seeds: seeds?,
                student: Student { architecture: student.architecture?, epochs: student.epochs? },
                teacher: match teacher {
                    Some(Networks { architecture, epochs, .. }) => {
                        Some(TeacherChoices { architecture: architecture?, epochs: epochs?, per_seed })
                    }
                    None => None,
                },
                treatment,
                recipe,
                search,
            })
        })();
    }
    understood
}

/// What the images and the networks that could be read do not let each other do.
fn refuse_networks(understood: &mut Understood, dataset: Dataset, teaching: Option<&Treatment>) {
    let Understood { student, teacher, chain, errors, .. } = understood;
    let in_field = |field: &'static str| move |network: Architecture| (field, network);
    let students = student.iter().copied().map(in_field("student.architecture"));
    let teachers = teacher.iter().map(|teacher| teacher.architecture).map(in_field("teacher.architecture"));
    let members = chain.iter().copied().map(in_field("treatment.chain"));
    let networks: Vec<(&str, Architecture)> = teachers.chain(members).chain(students).collect();
    errors.extend(fitting::refuse_sizes(dataset, &networks));
    errors.extend(teaching.and_then(|it| fitting::refuse_unpaired_maps(dataset, it, &networks)));
}

/// Puts errors into the order of the file; fields that no study has stand at the end of their table, and what is wrong with the
/// file as a whole comes last.
pub(crate) fn sort(errors: &mut [SpecError]) {
    errors.sort_by(|one, other| in_the_files_order(&one.field, &other.field));
}

fn in_the_files_order(one: &str, other: &str) -> Ordering {
    let place = |path: &str| {
        let (section, field) = path.split_once('.').map_or((path, None), |(section, field)| (section, Some(field)));
        let fields = match section {
            "student" => STUDENT,
            "teacher" => TEACHER,
            "treatment" => TREATMENT,
            "recipe" => RECIPE,
            "search" => SEARCH,
            _ => &[],
        };
        let index = |name: &str, names: &[&str]| names.iter().position(|it| *it == name).unwrap_or(names.len());
        (path.is_empty(), index(section, STUDY), field.map(|field| index(field, fields)))
    };
    place(one).cmp(&place(other))
}

struct Networks<T: Clone> {
    architecture: Option<Choices<T>>,
    epochs: Option<Choices<u32>>,
    /// The shortest of its trainings that could be read, also where another one is wrong: no stop may lie beyond it.
    shortest: Option<u32>,
}

fn student(section: &Section<'_>, errors: &mut Vec<SpecError>) -> Networks<Architecture> {
    let epochs = whole(check::EPOCHS, "");
    let student = Networks {
        architecture: section.required_choices("architecture", &architecture(), errors),
        shortest: section.readable("epochs", &epochs).into_iter().min(),
        epochs: section.required_choices("epochs", &epochs, errors),
    };
    section.refuse_unknown(errors);
    student
}

/// Where all teachers were trained elsewhere, epochs may be left out.
fn teachers(section: &Section<'_>, errors: &mut Vec<SpecError>) -> Networks<TeacherNetwork> {
    let architecture = section.required_choices("architecture", &teacher(), errors);
    let epochs = whole(check::EPOCHS, "");
    let all_imported =
        architecture.as_ref().is_some_and(|choices| choices.0.iter().all(|teacher| teacher.imported.is_some()));
    let shortest = section.readable("epochs", &epochs).into_iter().min();
    let epochs = match all_imported {
        true => section.or_choices("epochs", &epochs, 1.into(), errors),
        false => section.required_choices("epochs", &epochs, errors),
    };
    Networks { architecture, epochs, shortest }
}

struct Teaching {
    teacher: Option<Networks<TeacherNetwork>>,
    per_seed: bool,
    treatment: Option<Treatment>,
    /// Whether any arm distils, as far as can be told.
    distils: bool,
}

/// Teacher and treatment, whose rules lean on each other: a teacher is needed where an arm distils, and each stop must lie
/// within its own training.
fn teaching(
    top: &Section<'_>,
    student: &Networks<Architecture>,
    momentum: Option<f64>,
    errors: &mut Vec<SpecError>,
) -> Teaching {
    let teacher_section = top.section("teacher", TEACHER, errors);
    let section = top.section("treatment", TREATMENT, errors);
    let methods = scheme(&section, momentum, errors);

    let weighs = methods.weighs();
    let student_last = student.shortest.filter(|_| weighs);
    let beyond_student = "is beyond the student's last epoch";
    let kd_stop_epoch = section.choices("kd_stop_epoch", &within(0, student_last, beyond_student), errors);

    let starts = kd_stop_epoch.as_ref().is_none_or(|stops| stops.0.iter().any(|stop| *stop > 0));
    let distils = section.table.is_some() && weighs && starts;
    let teacher_is_read = distils || teacher_section.table.is_some();
    let teacher = teacher_is_read.then(|| teachers(&teacher_section, errors));
    let per_seed = teacher_section.or("per_seed", &boolean(), false, errors).unwrap_or(false);
    teacher_section.refuse_unknown(errors);

    let is_trained = |teacher: &&Networks<TeacherNetwork>| {
        teacher.architecture.as_ref().is_none_or(|choices| choices.0.iter().any(|teacher| teacher.imported.is_none()))
    };
    let teacher_last = teacher.as_ref().filter(is_trained).filter(|_| distils).and_then(|it| it.shortest);
    let within_teacher = within(1, teacher_last, "is beyond the teacher's last epoch");
    let teacher_stop_epoch = section.choices("teacher_stop_epoch", &within_teacher, errors);
    let student_last = student_last.filter(|_| distils);
    let chain = section.choices("chain", &chain(student_last), errors);
    let generations = section.optional("generations", &whole(check::GENERATIONS, ""), errors);
    let several = generations.is_some_and(|generations| generations > 1);
    let within_student = within(1, student_last.filter(|_| several), beyond_student);
    let generation_stop_epoch = section.choices("generation_stop_epoch", &within_student, errors);
    if let (Some(chains), Some(students), true) = (&chain, &student.architecture, several && distils) {
        errors.extend(ends_as_generations(&section, chains, students));
    }
    let after_stop =
        section.choices("cross_entropy_weight_after_stop", &number(check::CROSS_ENTROPY_WEIGHT_AFTER_STOP), errors);
    section.refuse_unknown(errors);

    let treatment = section.table.map(|_| Treatment {
        kd_stop_epoch,
        teacher_stop_epoch,
        chain,
        generations,
        generation_stop_epoch,
        cross_entropy_weight_after_stop: after_stop.unwrap_or_else(|| methods.cross_entropy_weight_after_stop.clone()),
        ..methods
    });
    Teaching { teacher, per_seed, treatment, distils }
}

/// A treatment's methods and their numbers, and of the rest its defaults. A number must do for every method that has it.
fn scheme(section: &Section<'_>, momentum: Option<f64>, errors: &mut Vec<SpecError>) -> Treatment {
    let default = Treatment::default();
    let method =
        section.or_choices("method", &named(&Method::ALL.map(|it| (it.name(), it))), default.method.clone(), errors);
    // Which they are is not known where they are wrong: then their numbers need only be numbers that some method could have.
    let methods = method.as_ref().map_or(&[][..], |methods| &methods.0);
    let mut real = |it: Number| section.choices(it.field(), &number(interval(it, methods, momentum)), errors);
    let mut treatment = Treatment {
        temperature: real(Number::Temperature),
        kd_weight: real(Number::KdWeight),
        attention_weight: real(Number::AttentionWeight),
        target_weight: real(Number::TargetWeight),
        non_target_weight: real(Number::NonTargetWeight),
        between_weight: real(Number::BetweenWeight),
        within_weight: real(Number::WithinWeight),
        momentum_difference: real(Number::MomentumDifference),
        ..default
    };
    treatment.warm_up_epochs = section.choices("warm_up_epochs", &whole(check::WARM_UP_EPOCHS, ""), errors);
    treatment.anchors = section.choices("anchors", &whole(check::ANCHORS, ""), errors);
    let difference = interval(Number::MomentumDifference, methods, momentum);
    let usual = treatment.values(Method::Dot, Number::MomentumDifference);
    let is_left_out = methods.contains(&Method::Dot) && section.value("momentum_difference").is_none();
    if let (true, Some(momentum), [usual]) = (is_left_out, momentum, &usual[..])
        && !difference.contains(*usual)
    {
        let problem = format!("is missing: the usual {usual} does not go with a momentum of {momentum}");
        errors.push(section.error_given("momentum_difference", &problem, "nothing", &difference.allowed()));
    }
    Treatment { method: method.unwrap_or(treatment.method), ..treatment }
}

/// Where a number may lie for all of `methods` that have it.
fn interval(number: Number, methods: &[Method], momentum: Option<f64>) -> Interval {
    let its = methods.iter().filter(|method| method.has(number)).map(|method| number.interval(*method, momentum));
    its.reduce(Interval::narrower).unwrap_or_else(|| number.widest())
}

/// Two ways of saying one line of teachers would be two arms of the same training.
fn ends_as_generations(
    section: &Section<'_>,
    chains: &Choices<Chain>,
    students: &Choices<Architecture>,
) -> Option<SpecError> {
    let ends = |chain: &&Chain| chain.0.last().is_some_and(|member| students.0.contains(&member.architecture));
    let chain = chains.0.iter().find(ends)?;
    let problem = "ends in a student's own network, which is what generations are";
    let allowed = "a chain that ends in another network, or one generation";
    Some(section.error_given("chain", problem, &format!("\"{chain}\""), allowed))
}

/// A stop from `first` to its training's `last` epoch; where that one is not known, to the most epochs there can be.
fn within(first: u32, last: Option<u32>, beyond: &'static str) -> Kind<u32> {
    match last {
        Some(last) => whole(first..=last, beyond),
        None => whole(first..=*check::EPOCHS.end(), ""),
    }
}

/// Arms of one student, which are chosen on validation, and a labels-only arm that the winner is tested against.
fn search(
    section: &Section<'_>,
    student: &Networks<Architecture>,
    distilling: Option<&Treatment>,
    validation: Option<u32>,
    evaluate_test: EvaluateTest,
    errors: &mut Vec<SpecError>,
) -> Option<Search> {
    section.table?;
    let budget_epochs = section.required("budget_epochs", &whole(check::BUDGET_EPOCHS, ""), errors);
    let default = Search::PROMOTE_ONE_IN_DEFAULT;
    let promote_one_in = section.or("promote_one_in", &whole(check::PROMOTE_ONE_IN, ""), default, errors);
    section.refuse_unknown(errors);
    let mut refuse = |field: &str, problem: &str, given: &str, allowed: &str| {
        let told = |text: &str| text.to_owned();
        errors.push(SpecError {
            field: told(field),
            problem: told(problem),
            given: told(given),
            allowed: told(allowed),
        });
    };
    let several = |count: usize| count > 1;
    if student.architecture.as_ref().is_some_and(|it| several(it.0.len()))
        || student.epochs.as_ref().is_some_and(|it| several(it.0.len()))
    {
        refuse("student.architecture", "is searched, and more than one", "a list", "one network, of one length");
    }
    let has_labels_only =
        |treatment: &Treatment| treatment.kd_stop_epoch.as_ref().is_some_and(|stops| stops.0.contains(&0));
    match distilling {
        None => refuse("treatment.method", "leaves nothing to be searched", "labels alone", "a treatment that distils"),
        Some(treatment) if !has_labels_only(treatment) => {
            let problem = "has no 0: what a search finds is tested against labels alone";
            refuse("treatment.kd_stop_epoch", problem, "no 0", "a list with 0 among its values");
        }
        Some(_) => {}
    }
    if validation == Some(0) {
        refuse("validation", "leaves nothing to choose by", "0", "1 or more, where arms are searched");
    }
    if evaluate_test == EvaluateTest::EveryEpoch {
        let problem = "would look at test before the choice is made";
        refuse("recipe.evaluate_test", problem, "\"every-epoch\"", "checkpoints, where arms are searched");
    }
    Some(Search { budget_epochs: budget_epochs?, promote_one_in: promote_one_in? })
}

/// The recipe, and apart those of its fields that others lean on: this machine, and a method's optimizer. `None` where they are wrong.
struct FromRecipe {
    recipe: Recipe,
    batch_size: Option<u32>,
    device: Option<Device>,
    momentum: Option<f64>,
}

fn recipe(section: &Section<'_>, dataset: Option<Dataset>, errors: &mut Vec<SpecError>) -> FromRecipe {
    let default = Recipe::default();
    let batch_size = section.or("batch_size", &whole(check::BATCH_SIZE, ""), default.batch_size, errors);
    let learning_rate = section.optional("learning_rate", &number(check::LEARNING_RATE), errors);
    let learning_rate_decay = section.optional("learning_rate_decay", &number(check::LEARNING_RATE_DECAY), errors);
    let drop_every = section.optional("drop_every", &whole(check::EPOCHS, ""), errors);
    let drop_epochs = drop_epochs(section, errors);
    let momentum = section.or("momentum", &number(check::MOMENTUM), default.momentum, errors);
    let weight_decay = section.optional("weight_decay", &number(check::WEIGHT_DECAY), errors);
    let augmentation = section.optional("augmentation", &augmentation(dataset), errors);
    let augmentation_seed = [("own", AugmentationSeed::Own), ("shared", AugmentationSeed::Shared)];
    let augmentation_seed = section.optional("augmentation_seed", &named(&augmentation_seed), errors);
    let device = section.or("device", &device(), default.device, errors);
    let evaluate_test = [("checkpoints", EvaluateTest::Checkpoints), ("every-epoch", EvaluateTest::EveryEpoch)];
    let evaluate_test = section.optional("evaluate_test", &named(&evaluate_test), errors);
    section.refuse_unknown(errors);
    let recipe = Recipe {
        batch_size: batch_size.unwrap_or(default.batch_size),
        learning_rate: learning_rate.unwrap_or(default.learning_rate),
        learning_rate_decay: learning_rate_decay.unwrap_or(default.learning_rate_decay),
        drop_every,
        drop_epochs,
        momentum: momentum.unwrap_or(default.momentum),
        weight_decay: weight_decay.unwrap_or(default.weight_decay),
        augmentation,
        augmentation_seed: augmentation_seed.unwrap_or(default.augmentation_seed),
        device: device.unwrap_or(default.device),
        evaluate_test: evaluate_test.unwrap_or(default.evaluate_test),
    };
    FromRecipe { recipe, batch_size, device, momentum }
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

/// How many runs a study comes to is known before any is made. What is wrong counts as one value, so that whatever else is to
/// be put right, this is told with it.
fn too_many_runs(
    seeds: Option<u32>,
    student: &Networks<Architecture>,
    teacher: Option<&Networks<TeacherNetwork>>,
    treatment: Option<&Treatment>,
) -> Option<SpecError> {
    let epochs = student.epochs.as_ref()?;
    let students = length(student.architecture.as_ref());
    let known = teacher.and_then(|teacher| teacher.architecture.as_ref());
    let imported = known.map_or(0, |choices| choices.0.iter().filter(|teacher| teacher.imported.is_some()).count());
    // As long as any, so that it limits nothing.
    let unknown = Choices(vec![*check::EPOCHS.end()]);
    let arms = match treatment {
        None => students as u128 * epochs.0.len() as u128,
        Some(treatment) => count::arms(&count::Sizes {
            students,
            student_epochs: &epochs.0,
            teachers: teacher.map_or(1, |teacher| length(teacher.architecture.as_ref())) - imported,
            imported,
            teacher_epochs: &teacher.and_then(|teacher| teacher.epochs.as_ref()).unwrap_or(&unknown).0,
            treatment,
        }),
    };
    let runs = arms * u128::from(seeds.unwrap_or(1));
    (runs > u128::from(Plan::RUNS_MAX)).then(|| SpecError {
        field: String::new(),
        problem: "the lists multiply to too many runs".into(),
        given: match seeds {
            Some(seeds) => format!("{runs} runs ({arms} arms × {seeds} seeds)"),
            None => format!("{arms} arms"),
        },
        allowed: format!("up to {} runs", Plan::RUNS_MAX),
    })
}

/// How many values a field has; one where it is absent or wrong.
fn length<T: Clone>(choices: Option<&Choices<T>>) -> usize {
    choices.map_or(1, |choices| choices.0.len())
}
