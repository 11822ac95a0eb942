//! `stillroom import-teacher FILE`: a network that was trained elsewhere becomes a teacher like any other.

use crate::{command_line, error::CommandError, terminal::tell};
use train::imported::{Described, OfItself, import, said_of_itself};

/// The file is checked and copied into the data folder; a server at work there offers it at once.
pub fn import_teacher(arguments: &command_line::ImportTeacher) -> Result<(), CommandError> {
    let path = &arguments.weights;
    let OfItself { architecture: of_file, normalisation } = said_of_itself(path)?;
    let lacking = |problem| CommandError::Import { path: path.clone(), problem };
    let architecture = arguments
        .architecture
        .or(of_file)
        .ok_or_else(|| lacking("does not say which network it is: name it, such as --architecture wrn-40-2"))?;
    let typed = arguments.mean.clone().zip(arguments.deviation.clone()).map(|(mean, deviation)| [mean, deviation]);
    let [mean, deviation] = typed
        .or(normalisation)
        .ok_or_else(|| lacking("does not say how its inputs are normalised: say it by --mean and --deviation"))?;
    let of_path = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = arguments.name.clone().unwrap_or_else(of_path);
    let described = Described { architecture, name, mean, deviation };
    let teacher = import(&arguments.installation.data.dir, path, &described)?;
    let (colours, classes) = (teacher.channels, teacher.classes);
    tell(&format!(
        "{}, a network of {colours} colour channels and {classes} classes, is a teacher now. In a study:\n\n\
         [teacher]\narchitecture = \"{}\"\n",
        teacher.name, teacher.network
    ))
}
