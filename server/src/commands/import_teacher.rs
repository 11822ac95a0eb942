//! `stillroom import-teacher FILE`: a network that was trained elsewhere becomes a teacher like any other.

use crate::{command_line, error::CommandError, terminal::tell};
use train::imported::{OfItself, import};

/// The file is checked and copied into the data folder; a server at work there offers it at once.
pub fn import_teacher(arguments: &command_line::ImportTeacher) -> Result<(), CommandError> {
    let path = &arguments.weights;
    let normalisation =
        arguments.mean.clone().zip(arguments.deviation.clone()).map(|(mean, deviation)| [mean, deviation]);
    let of_path = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = arguments.name.clone().unwrap_or_else(of_path);
    let said = OfItself { architecture: arguments.architecture, normalisation };
    let teacher = import(&arguments.installation.data.dir, path, said, &name)?;
    let (colours, classes) = (teacher.channels, teacher.classes);
    tell(&format!(
        "{}, a network of {colours} colour channels and {classes} classes, is a teacher now. In a study:\n\n\
         [teacher]\narchitecture = \"{}\"\n",
        teacher.name, teacher.network
    ))
}
