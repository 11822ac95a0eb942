//! What a person may type.

use crate::{datasets::NamedPath, download::can_be_downloaded, http::password};

use clap::{Args, Parser, Subcommand};
use std::{net::IpAddr, path::PathBuf, str::FromStr};
use study::{Architecture, CheckpointId, Dataset, RunId};
use train::speed::Precision;

/// A laboratory for knowledge distillation in a browser.
#[derive(Debug, Parser)]
#[command(name = "stillroom", version, about, propagate_version = true)]
pub struct CommandLine {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the laboratory's pages and train its studies.
    Serve(Serve),
    /// Train one study and print what it found.
    Run(Run),
    /// Say what a study comes to, without training it.
    Plan(Plan),
    /// Train the segment described in a folder's segment.json (the server starts these by itself).
    Worker {
        /// The segment's folder.
        folder: PathBuf,
    },
    /// Download a data set's official files into the data folder, or go on where that broke off.
    #[command(alias = "fetch-data")]
    Download(Download),
    /// Write the trained weights of a run to a file.
    Export(Export),
    /// Bring a teacher that was trained elsewhere.
    ImportTeacher(ImportTeacher),
    /// Write what finished studies found: a document with its pictures.
    Results(Results),
    /// Fill a data folder with a finished study of made-up numbers, to see how a large one is shown.
    #[command(hide = true)]
    FillSynthetic(FillSynthetic),
    /// Measure this machine.
    Bench {
        #[command(subcommand)]
        bench: Bench,
    },
}

/// The data folder.
#[derive(Clone, Debug, Args)]
pub struct DataDir {
    /// Folder for the database, checkpoints and data sets, which are in its folders datasets/NAME.
    #[arg(long = "data-dir", env = "STILLROOM_DATA_DIR", default_value = "stillroom-data", value_name = "FOLDER")]
    pub dir: PathBuf,
}

/// Where results and data sets lie.
#[derive(Clone, Debug, Args)]
pub struct Installation {
    #[command(flatten)]
    pub data: DataDir,
    /// Folder or archive with a data set's official files, such as cifar-10=/data/cifar-10-binary.tar.gz; or with images of your
    /// own by class (train/CLASS/..., test/CLASS/... or val/CLASS/...), such as flowers@64=/data/flowers, made squares of 64 pixels.
    /// Also STILLROOM_DATASET_CIFAR_10 and the like, or the folder datasets/NAME in the data folder.
    #[arg(long = "dataset", value_name = "NAME=PATH")]
    pub datasets: Vec<NamedPath>,
    /// Room on the disk for what teachers said of images, which is kept so that they need not be asked twice: 4 GB unless given,
    /// such as 500MB; 0 keeps nothing.
    #[arg(long, env = "STILLROOM_TEACHER_LOGITS_LIMIT", default_value = "4GB", value_name = "BYTES", value_parser = bytes)]
    pub teacher_logits_limit: u64,
}

/// "4GB", "500 MB", "1000000": units in powers of ten.
fn bytes(typed: &str) -> Result<u64, String> {
    let units = [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000), ("", 1)];
    let read = |(unit, factor): (&str, u64)| {
        let number = typed.to_lowercase().strip_suffix(&unit.to_lowercase())?.trim().parse::<u64>().ok()?;
        number.checked_mul(factor)
    };
    units.into_iter().find_map(read).ok_or_else(|| "write a whole number of bytes, such as 4GB or 500MB".to_owned())
}

/// A data set that can be downloaded.
fn published(typed: &str) -> Result<Dataset, String> {
    let dataset = typed.parse().ok().filter(|dataset| can_be_downloaded(*dataset));
    dataset.ok_or_else(|| {
        format!("{typed:?} cannot be downloaded; allowed: {}", Dataset::PUBLISHED.map(|it| it.to_string()).join(", "))
    })
}

#[derive(Clone, Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub installation: Installation,
    /// 0 picks a free one.
    #[arg(long, env = "STILLROOM_PORT", default_value_t = 3000)]
    pub port: u16,
    /// Address to listen on. Any but this machine's own (127.0.0.1, ::1) needs a password.
    #[arg(long, env = "STILLROOM_BIND", default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub bind: IpAddr,
    /// How others reach this server, such as https://lab.example.org: shared links begin with it.
    #[arg(long, env = "STILLROOM_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// File that holds the password; or the environment variable STILLROOM_PASSWORD.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Threads that may train at once; all of this machine's unless given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// The largest archive of images that may be uploaded: 1 GB unless given; 0 allows none.
    #[arg(long, env = "STILLROOM_UPLOAD_LIMIT", default_value = "1GB", value_name = "BYTES", value_parser = bytes)]
    pub upload_limit: u64,
    /// Another server for what the page of data sets downloads, such as a mirror in a closed network, with a folder for each of them:
    /// URL/mnist/train-images-idx3-ubyte.gz. Files are known by their checksums.
    #[arg(long, alias = "fetch-from", env = "STILLROOM_DOWNLOAD_FROM", value_name = "URL")]
    pub download_from: Option<String>,
    /// The program to start as a worker; this one unless given. To measure the server by itself, with workers that only write.
    #[arg(long, hide = true, value_name = "PROGRAM")]
    pub worker_program: Option<PathBuf>,
}

impl Serve {
    /// The environment variable that may hold the password.
    pub const PASSWORD_VARIABLE: &str = password::VARIABLE;
}

#[derive(Clone, Debug, Args)]
pub struct Run {
    /// The study file; - reads it from the standard input.
    pub study: PathBuf,
    #[command(flatten)]
    pub installation: Installation,
    /// Threads that may train at once; all of this machine's unless given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Print one JSON object on the standard output, and everything else on the standard error.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// The study file; - reads it from the standard input.
    pub study: PathBuf,
    #[command(flatten)]
    pub installation: Installation,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct Download {
    /// mnist, fashion-mnist, cifar-10, cifar-100 or tiny-imagenet.
    #[arg(value_parser = published)]
    pub dataset: Dataset,
    #[command(flatten)]
    pub data: DataDir,
    /// Another server that has the same files, such as http://mirror.example.org/mnist/. They are known by their checksums.
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct Export {
    /// A run's id, as `stillroom run --json` and the study's page name it; or KEY@EPOCH, as a study's metrics name what its
    /// teachers left behind.
    #[arg(value_name = "RUN or KEY@EPOCH")]
    pub weights_of: WeightsOf,
    /// The safetensors file to write.
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    #[command(flatten)]
    pub installation: Installation,
}

/// A safetensors file with weights in the model zoo's names becomes a teacher like any other.
#[derive(Clone, Debug, Args)]
pub struct ImportTeacher {
    /// The file; of PyTorch, what safetensors.torch.save_file(model.state_dict(), FILE) writes.
    #[arg(value_name = "FILE")]
    pub weights: PathBuf,
    /// Its network, such as wrn-40-2; may be left out of what `stillroom export` wrote.
    #[arg(long)]
    pub architecture: Option<Architecture>,
    /// By colour channel, what its inputs were normalised by, of pixel values from 0 to 1, such as 0.4914,0.4822,0.4465.
    #[arg(long, value_delimiter = ',', requires = "deviation", value_name = "NUMBERS")]
    pub mean: Option<Vec<f32>>,
    /// What they were divided by after that, such as 0.2470,0.2435,0.2616.
    #[arg(long, value_delimiter = ',', requires = "mean", value_name = "NUMBERS")]
    pub deviation: Option<Vec<f32>>,
    /// What you call it; the file's name where that is left out.
    #[arg(long)]
    pub name: Option<String>,
    #[command(flatten)]
    pub installation: Installation,
}

#[derive(Clone, Debug, Args)]
pub struct Results {
    /// The document to write; its pictures go to a folder of its name beside it.
    #[arg(value_name = "DOCUMENT")]
    pub document: PathBuf,
    /// The folder of frozen studies of which it is made.
    #[arg(long, value_name = "FOLDER")]
    pub examples: PathBuf,
    /// A data folder whose finished studies are frozen into that folder first.
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
}

/// Five seeds each of labels only and of every temperature with three KD weights: 200 runs by default.
#[derive(Clone, Debug, Args)]
pub struct FillSynthetic {
    /// Temperatures, from 1 up.
    #[arg(long, default_value_t = 13, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub temperatures: u32,
    /// Epochs of each run.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(4..=1000))]
    pub epochs: u32,
    #[command(flatten)]
    pub installation: Installation,
}

/// Whose weights are meant.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightsOf {
    /// The last ones of a run.
    Run(RunId),
    Checkpoint(CheckpointId),
}

impl FromStr for WeightsOf {
    type Err = String;
    fn from_str(typed: &str) -> Result<Self, String> {
        match typed.contains('@') {
            true => typed.parse().map(WeightsOf::Checkpoint),
            false => Ok(WeightsOf::Run(RunId(typed.to_owned()))),
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub enum Bench {
    /// Whole training steps (forward, backward, update) on random 32×32×3 images.
    Step(BenchNetwork),
    /// Evaluations of a frozen network on random 32×32×3 images.
    Evaluate(BenchNetwork),
    /// What an epoch does before each step: drawing and rendering a batch's views, beside the step.
    Augmentation(BenchAugmentation),
    /// The engine's innermost matrix product on numbers in the first cache: the most that this machine multiplies.
    Product(BenchProduct),
    /// What estimates are made of where candle trains on the CPU, as one JSON object (other commands start it by themselves, with one
    /// thread for candle).
    #[command(hide = true)]
    CandleSpeed,
}

#[derive(Clone, Debug, Args)]
pub struct BenchNetwork {
    /// Such as wrn-16-1.
    #[arg(long)]
    pub architecture: Architecture,
    /// Images at a time.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch: u32,
    /// Threads that share the work.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: u32,
    /// avx512, avx2, neon or portable; the best this machine has unless given.
    #[arg(long)]
    pub instruction_set: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct BenchAugmentation {
    #[command(flatten)]
    pub network: BenchNetwork,
    /// Random 32×32×3 images in the place of the built-in ones of 28×28×1.
    #[arg(long)]
    pub colour: bool,
}

#[derive(Clone, Debug, Args)]
pub struct BenchProduct {
    /// Threads that multiply at once, each its own numbers.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: u32,
    /// avx512, avx2, neon or portable; the best this machine has unless given.
    #[arg(long)]
    pub instruction_set: Option<String>,
    /// fp32, in which networks are trained; or bf16, to compare, on a processor with avx512_bf16.
    #[arg(long, default_value = "fp32")]
    pub precision: Precision,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn weights_are_those_of_a_run_or_of_a_checkpoint() {
        assert_eq!("0123456789abcdef".parse(), Ok(WeightsOf::Run(RunId("0123456789abcdef".into()))));
        let checkpoint = format!("{}@8", "0a".repeat(16));
        assert!(matches!(checkpoint.parse(), Ok(WeightsOf::Checkpoint(named)) if named.to_string() == checkpoint));
        let escape = ["stillroom", "export", "../../etc@8", "--weights", "w"];
        assert!(CommandLine::try_parse_from(escape).is_err());
    }

    #[test]
    fn a_size_is_typed_with_its_unit() {
        for (typed, expected) in [("4GB", 4_000_000_000), ("500 mb", 500_000_000), ("0", 0), ("17", 17)] {
            assert_eq!(bytes(typed), Ok(expected));
        }
        for wrong in ["", "GB", "-1", "1.5GB", "4 GiB", "99999999999999TB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_published_alone_is_downloaded() {
        let typed = |name: &str| CommandLine::try_parse_from(["stillroom", "download", name]);
        for dataset in Dataset::PUBLISHED {
            let named = typed(&dataset.to_string()).expect("it can be downloaded").command;
            assert!(matches!(named, Command::Download(download) if download.dataset == dataset));
        }
        for wrong in ["fashion-mnist-12k", "flowers@64", "imagenet"] {
            let error = typed(wrong).expect_err("it cannot be downloaded");
            assert_eq!(error.exit_code(), 2, "what was asked for is wrong");
            let said = error.to_string();
            assert!(said.contains("allowed: mnist, ") && said.contains("tiny-imagenet"), "{said}");
        }
    }

    #[test]
    fn a_data_set_is_named_with_its_path() {
        let typed =
            ["stillroom", "serve", "--port", "0", "--dataset", "cifar-10=/data/cifar", "--dataset", "mnist=m=1"];
        let Command::Serve(serve) = CommandLine::parse_from(typed).command else { panic!("serve was typed") };
        let expected = [(Dataset::Cifar10, PathBuf::from("/data/cifar")), (Dataset::Mnist, PathBuf::from("m=1"))]
            .map(NamedPath::from);
        assert_eq!(serve.installation.datasets, expected);
        for wrong in ["cifar-10", "cifar-11=/data", "cifar-10=", "=/data", "fashion-mnist-12k=/data", "a b@32=/data"] {
            assert!(CommandLine::try_parse_from(["stillroom", "serve", "--dataset", wrong]).is_err(), "{wrong}");
        }
    }
}
