//! What the form's study would come to: errors, arms, runs and time, as one types. Decided here, shown by [`super::Form`].

use super::Fields;
use study::{DatasetFacts, Device, Facts, Machine, Numerics, Plan, SpecError, Study};

/// What the form says, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    pub errors: Vec<SpecError>,
    /// `None` while there are errors.
    pub plan: Option<Plan>,
    /// Wall time on this machine in seconds, where its speed is known.
    pub seconds: Option<f64>,
}

impl Preview {
    pub fn errors_of<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a SpecError> {
        self.errors.iter().filter(move |error| error.field == path)
    }
}

/// Plans what the form says for `machine`, without anything being started.
pub fn preview(fields: &Fields, machine: &Machine) -> Preview {
    match fields.study().and_then(|study| planned(&study, machine)) {
        Ok(plan) => {
            let estimate = study::cost::estimate(&plan, &Facts::new(), machine);
            Preview { errors: Vec::new(), seconds: estimate.map(|estimate| estimate.seconds), plan: Some(plan) }
        }
        Err(errors) => Preview { errors, plan: None, seconds: None },
    }
}

fn planned(study: &Study, machine: &Machine) -> Result<Plan, Vec<SpecError>> {
    let mut errors = Vec::new();
    let dataset = dataset(study, machine).map_err(|error| errors.push(error)).ok();
    let numerics = numerics(study.recipe.device, machine).map_err(|error| errors.push(error)).ok();
    match (dataset, numerics) {
        (Some(dataset), Some(numerics)) => Plan::new(study, &dataset, numerics),
        _ => Err(errors),
    }
}

/// The data set as this machine has it, split as the study asks.
fn dataset(study: &Study, machine: &Machine) -> Result<DatasetFacts, SpecError> {
    let found = machine.datasets.iter().find(|facts| facts.dataset == study.dataset);
    let facts = found.ok_or_else(|| SpecError {
        field: "dataset".into(),
        problem: "was not found on this machine".into(),
        given: study.dataset.to_string(),
        allowed: format!(
            "{}; to add another, start with --dataset {}=PATH",
            machine.datasets.iter().map(|facts| facts.dataset.name()).collect::<Vec<_>>().join(", "),
            study.dataset
        ),
    })?;
    let trained_or_held_out = facts.train + facts.validation;
    let validation = study.validation.unwrap_or(facts.validation);
    Ok(DatasetFacts { validation, train: trained_or_held_out.saturating_sub(validation), ..facts.clone() })
}

/// Which engine a device has. The plan's keys depend on it, its counts do not.
fn numerics(device: Device, machine: &Machine) -> Result<Numerics, SpecError> {
    match device {
        Device::Cpu => Ok(Numerics::CpuF32),
        Device::Auto if machine.devices.is_empty() => Ok(Numerics::CpuF32),
        Device::Auto => Ok(Numerics::CandleF32),
        Device::Cuda(_) if machine.devices.contains(&String::from(device)) => Ok(Numerics::CandleF32),
        Device::Cuda(_) => Err(SpecError {
            field: "recipe.device".into(),
            problem: "is not a device of this machine".into(),
            given: device.into(),
            allowed: ["auto", "cpu"]
                .into_iter()
                .chain(machine.devices.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}
