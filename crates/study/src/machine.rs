//! This machine, as far as a study must fit it: known before anything is planned, told to the form as to the command line.

use crate::{
    Architecture, Dataset, DatasetFacts, Device, ImportedTeacher, Numerics, Plan, SpecError, Speed, Study,
    TeacherNetwork,
    cost::{self, bytes_in_words},
    read::{self, Understood},
};
use serde::{Deserialize, Serialize};
use toml::Table;

/// What this machine can do, measured, and which data it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Workers that may train side by side.
    pub threads: u32,
    /// How fast a thread is while all are busy. `None`: not measured yet.
    pub speed: Option<Speed>,
    /// The same of networks that the hand-written engine has no operators for, where candle trains them on the CPU. `None`: not measured
    /// yet, as long as nobody needs it.
    #[serde(default)]
    pub speed_of_candle: Option<Speed>,
    pub instruction_set: String,
    /// Bytes of memory that programs here can have; `None` where that is not known, and then nothing is refused for it.
    pub memory: Option<u64>,
    /// Bytes that the tables of teachers' logits may take on the disk, all together.
    pub teacher_logits_limit: u64,
    /// GPUs that can be used: "cuda:0". Empty: `auto` is the CPU.
    pub devices: Vec<String>,
    /// Why there is no GPU: "no GPU with a working driver was found"; `None` where there is one.
    pub no_gpu: Option<String>,
    /// Data sets found and read, with nothing held out for validation yet; folders with what they hold out by themselves.
    pub datasets: Vec<DatasetFacts>,
    /// The others that are known of.
    pub unusable: Vec<Unusable>,
    /// Teachers that were brought here from elsewhere.
    #[serde(default)]
    pub imported: Vec<ImportedTeacher>,
}

/// A data set that cannot be trained on here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusable {
    pub dataset: Dataset,
    /// Why, and what to do about it: "was not found on this machine; ...".
    pub reason: String,
    /// Its files are here, and something is wrong with them.
    pub found: bool,
}

/// A study that a machine can train.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    pub study: Study,
    /// Split as the study asks.
    pub dataset: DatasetFacts,
    /// The whole one.
    pub plan: Plan,
}

impl Machine {
    /// What a person should know before planning: why nothing trains on a GPU, and what is wrong with images that are here.
    pub fn notice(&self) -> Option<String> {
        let damaged = self.unusable.iter().filter(|unusable| unusable.found);
        let damaged = damaged.map(|Unusable { dataset, reason, .. }| format!("{dataset} {reason}."));
        let notices: Vec<String> = self.no_gpu.as_deref().map(on_the_cpu).into_iter().chain(damaged).collect();
        (!notices.is_empty()).then(|| notices.join(" "))
    }

    /// Why a data set cannot be trained on here, and what to do about it; `None` where it can.
    pub fn lacks(&self, dataset: Dataset) -> Option<String> {
        if self.datasets.iter().any(|facts| facts.dataset == dataset) {
            return None;
        }
        let told = self.unusable.iter().find(|unusable| unusable.dataset == dataset);
        let not_found = match dataset {
            // A folder that nobody names any more is in no list of what could be here.
            Dataset::Folder(_) => format!(
                "was not found on this machine; start Stillroom with --dataset {dataset}=FOLDER, or send an archive of it from \
                 the page Data"
            ),
            _ => "was not found on this machine".into(),
        };
        Some(told.map_or(not_found, |unusable| unusable.reason.clone()))
    }

    /// Reads a study's table for this machine: the one way of the form, the API and the command line.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file: what [`Study::from_table`] refuses, a data set or a device that is
    /// not here, more images held out than there are, a training that does not fit into memory, and once nothing else is, a budget that
    /// does not do for a search.
    pub fn ready(&self, table: &Table) -> Result<Ready, Vec<SpecError>> {
        let mut understood = read::understand(table);
        let mut errors = std::mem::take(&mut understood.errors);
        let mut told = |error| errors.push(error);
        let found = understood.dataset.and_then(|dataset| self.dataset(dataset).map_err(&mut told).ok());
        let split = found.zip(understood.validation).map(|(found, validation)| found.split(validation));
        let dataset = split.and_then(|split| split.map_err(&mut told).ok());
        let imported = understood.teacher.iter().filter(|teacher| teacher.imported.is_some());
        for teacher in imported {
            match self.imported.iter().find(|known| known.network == *teacher) {
                Some(known) => errors.extend(found.and_then(|images| known.refuse_for(images))),
                None => errors.push(self.not_imported(teacher)),
            }
        }
        let mut told = |error| errors.push(error);
        let numerics = understood.device.and_then(|device| self.numerics(device).map_err(&mut told).ok());
        if let (Some(images), Some(batch_size), Some(Numerics::CpuF32)) = (found, understood.batch_size, numerics) {
            self.refuse_too_large(&understood, images, batch_size, &mut errors);
        }
        read::sort(&mut errors);
        match (understood.study, dataset, numerics) {
            (Some(study), Some(dataset), Some(numerics)) if errors.is_empty() => {
                let plan = Plan::of(&study, dataset.clone(), numerics).map_err(|error| vec![error])?;
                let named = |teacher: &TeacherNetwork| self.imported.iter().find(|known| known.network == *teacher);
                let plan = plan.calling_teachers(|teacher| named(teacher).map(|known| known.name.clone()));
                Ok(Ready { study, dataset, plan })
            }
            _ => Err(errors),
        }
    }

    fn dataset(&self, dataset: Dataset) -> Result<&DatasetFacts, SpecError> {
        let found = self.datasets.iter().find(|facts| facts.dataset == dataset);
        found.ok_or_else(|| SpecError {
            field: "dataset".into(),
            problem: self.lacks(dataset).unwrap_or_default(),
            given: format!("\"{dataset}\""),
            allowed: self.datasets.iter().map(|facts| facts.dataset.to_string()).collect::<Vec<_>>().join(", "),
        })
    }

    fn not_imported(&self, teacher: &TeacherNetwork) -> SpecError {
        let known: Vec<String> = self.imported.iter().map(|it| format!("\"{}\" ({})", it.network, it.name)).collect();
        SpecError {
            field: "teacher.architecture".into(),
            problem: "was not imported here; `stillroom import-teacher` does that".into(),
            given: format!("\"{teacher}\""),
            allowed: if known.is_empty() { "a network that is trained here".into() } else { known.join(", ") },
        }
    }

    /// Which arithmetic trains on a device.
    fn numerics(&self, device: Device) -> Result<Numerics, SpecError> {
        match device {
            Device::Cpu => Ok(Numerics::CpuF32),
            Device::Auto if self.devices.is_empty() => Ok(Numerics::CpuF32),
            Device::Auto => Ok(Numerics::CandleF32),
            Device::Cuda(_) if self.devices.contains(&String::from(device)) => Ok(Numerics::CandleF32),
            Device::Cuda(_) => Err(SpecError {
                field: "recipe.device".into(),
                problem: match &self.no_gpu {
                    Some(reason) => format!("is not on this machine: {reason}"),
                    None => "is not on this machine".into(),
                },
                given: format!("\"{}\"", String::from(device)),
                allowed: ["auto", "cpu"]
                    .into_iter()
                    .chain(self.devices.iter().map(String::as_str))
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    /// Refuses what one worker alone could not hold in memory. How many work side by side is not looked at, nor is the memory of
    /// a GPU.
    fn refuse_too_large(
        &self,
        networks: &Understood,
        images: &DatasetFacts,
        batch_size: u32,
        errors: &mut Vec<SpecError>,
    ) {
        let Some(memory) = self.memory else { return };
        let Understood { student, teacher, chain, students_teach, gradients, .. } = networks;
        // A student learns from one teacher at a time: the largest stands for all.
        let teachers = || teacher.iter().map(|teacher| &teacher.architecture);
        let teach = teachers().chain(chain).chain(student.iter().filter(|_| *students_teach));
        let beside = teach.map(|teacher| cost::teacher_bytes(*teacher, images, self.threads)).max().unwrap_or(0);
        let students = student.iter().map(|student| ("student.architecture", *student, beside, *gradients));
        let trained = teacher.iter().filter(|teacher| teacher.imported.is_none());
        let teachers = trained.map(|teacher| ("teacher.architecture", teacher.architecture, 0, 1));
        let members = chain.iter().map(|member| ("treatment.chain", *member, beside, *gradients));
        let mut narrowest: Option<TooLarge> = None;
        for (field, architecture, beside, gradients) in students.chain(teachers).chain(members) {
            let beside = beside.saturating_add(cost::images_bytes(images));
            let bytes =
                |batch| cost::worker_bytes(architecture, images, batch, gradients, self.threads).saturating_add(beside);
            match fits(memory, architecture, batch_size, bytes, [field, "recipe.batch_size"]) {
                Ok(()) => {}
                Err(TooLarge { batch_most: 0, error }) => errors.push(error),
                Err(it) if narrowest.as_ref().is_some_and(|narrowest| narrowest.batch_most <= it.batch_most) => {}
                Err(it) => narrowest = Some(it),
            }
        }
        errors.extend(narrowest.map(|it| it.error));
    }
}

/// What `auto` comes to where there is no GPU, for the reason given.
pub fn on_the_cpu(no_gpu: &str) -> String {
    format!("Training runs on the CPU: {no_gpu}.")
}

/// A training that does not fit into memory.
#[derive(Debug)]
pub struct TooLarge {
    /// The largest batch that would fit; 0 where not even one image does.
    pub batch_most: u32,
    pub error: SpecError,
}

/// Whether a training on batches of `batch_size` images, which needs `bytes` by their number, fits into `memory` bytes.
/// `fields`: how the network and the batch are called where this was asked; where not even one image fits, it is the network
/// that is wrong.
pub fn fits(
    memory: u64,
    architecture: Architecture,
    batch_size: u32,
    bytes: impl Fn(u32) -> u64,
    fields: [&str; 2],
) -> Result<(), TooLarge> {
    let batch_most = largest_batch(batch_size, |batch| bytes(batch) <= memory);
    let needs = |batch| format!("needs {} of memory", bytes_in_words(bytes(batch)));
    let has = format!("this machine has {}", bytes_in_words(memory));
    let [network, batch] = fields.map(str::to_owned);
    let error = match batch_most {
        most if most == batch_size => return Ok(()),
        0 => SpecError {
            field: network,
            problem: format!("{} to train on one image at a time; {has}", needs(1)),
            given: format!("\"{architecture}\""),
            allowed: "a smaller network".into(),
        },
        most => SpecError {
            field: batch,
            problem: format!("{} to train {architecture}; {has}", needs(batch_size)),
            given: batch_size.to_string(),
            allowed: format!("1 to {most}"),
        },
    };
    Err(TooLarge { batch_most, error })
}

/// The largest batch up to `most` that fits; 0 where not even one image does. A larger batch never needs less.
fn largest_batch(most: u32, fits: impl Fn(u32) -> bool) -> u32 {
    if fits(most) {
        return most;
    }
    let (mut enough, mut too_many) = (0, most);
    while too_many - enough > 1 {
        let middle = enough + (too_many - enough) / 2;
        if fits(middle) { enough = middle } else { too_many = middle }
    }
    enough
}
