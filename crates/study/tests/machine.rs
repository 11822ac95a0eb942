//! A study must fit the machine that is to train it, and what does not fit is told with everything else.

use study::{Dataset, DatasetFacts, Machine, Numerics, SpecError, Study, Unusable, cost};

const EXAMPLE: &str = include_str!("../../../examples/study.toml");

fn facts(dataset: Dataset, images: u32) -> DatasetFacts {
    DatasetFacts {
        dataset,
        checksum: "of the images".into(),
        classes: 10,
        channels: 1,
        image_size: 28,
        train: images,
        validation: 0,
        test: 10_000,
    }
}

fn unusable(dataset: Dataset, reason: &str, found: bool) -> Unusable {
    Unusable { dataset, reason: reason.into(), found }
}

fn machine() -> Machine {
    Machine {
        threads: 2,
        speed: None,
        speed_of_candle: None,
        instruction_set: "portable".into(),
        memory: Some(8_000_000_000),
        teacher_logits_limit: 4_000_000_000,
        devices: Vec::new(),
        no_gpu: Some("no GPU with a working driver was found".into()),
        datasets: vec![facts(Dataset::FashionMnist12k, 17_000), facts(Dataset::Mnist, 400)],
        unusable: vec![unusable(Dataset::Cifar10, "was not found on this machine; name its files", false)],
        imported: Vec::new(),
    }
}

#[test]
fn what_is_lacking_is_said_whether_it_was_expected_or_not() {
    let machine = machine();
    assert_eq!(machine.lacks(Dataset::Mnist), None);
    assert_eq!(machine.lacks(Dataset::Cifar10).as_deref(), Some("was not found on this machine; name its files"));
    assert_eq!(machine.lacks(Dataset::Cifar100).as_deref(), Some("was not found on this machine"));
    // Nothing but a study says that there ever was such a folder.
    let flowers = machine.lacks("flowers@64".parse().unwrap()).unwrap();
    assert!(flowers.starts_with("was not found") && flowers.contains("--dataset flowers@64=FOLDER"), "{flowers}");
}

#[test]
fn a_person_is_told_of_what_is_here_and_cannot_be_used() {
    let no_gpu = "Training runs on the CPU: no GPU with a working driver was found.";
    assert_eq!(machine().notice().as_deref(), Some(no_gpu));
    let damaged = unusable(Dataset::Mnist, "cannot be used: a file is cut", true);
    let unusable = [machine().unusable, vec![damaged]].concat();
    let said = Machine { unusable: unusable.clone(), ..machine() }.notice();
    assert_eq!(said, Some(format!("{no_gpu} mnist cannot be used: a file is cut.")));
    assert_eq!(Machine { no_gpu: None, ..machine() }.notice(), None);
    let said = Machine { no_gpu: None, unusable, ..machine() }.notice();
    assert_eq!(said.as_deref(), Some("mnist cannot be used: a file is cut."));
}

fn errors(machine: &Machine, text: &str) -> Vec<SpecError> {
    machine.ready(&Study::table(text).unwrap()).expect_err("the study is wrong")
}

fn only(machine: &Machine, text: &str) -> SpecError {
    let mut errors = errors(machine, text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.remove(0)
}

#[test]
fn what_fits_is_planned_as_it_is_split() {
    let ready = machine().ready(&Study::table(EXAMPLE).unwrap()).unwrap();
    assert_eq!((ready.dataset.train, ready.dataset.validation), (12_000, 5_000));
    assert_eq!(ready.plan.numerics, Numerics::CpuF32);
    assert_eq!(ready.plan.epochs, 272);
    let gpu = Machine { devices: vec!["cuda:0".into()], no_gpu: None, ..machine() };
    for (device, numerics) in
        [("auto", Numerics::CandleF32), ("cpu", Numerics::CpuF32), ("cuda:0", Numerics::CandleF32)]
    {
        let text = format!("{EXAMPLE}[recipe]\ndevice = \"{device}\"");
        assert_eq!(gpu.ready(&Study::table(&text).unwrap()).unwrap().plan.numerics, numerics);
    }
}

#[test]
fn what_the_machine_lacks_is_told_with_what_is_wrong_in_the_order_of_the_file() {
    let text =
        EXAMPLE.replace("seeds = 3", "seeds = 0").replace("fashion-mnist-12k", "cifar-10").replace("[0, 8, 20]", "30")
            + "[recipe]\nmomentum = 2\ndevice = \"cuda:9\"\nbatch_size = 0";
    let told: Vec<_> = errors(&machine(), &text).into_iter().map(|error| (error.field, error.problem)).collect();
    let expected = [
        ("dataset", "was not found on this machine; name its files"),
        ("seeds", "is out of range"),
        ("treatment.kd_stop_epoch", "is beyond the student's last epoch"),
        ("recipe.batch_size", "is out of range"),
        ("recipe.momentum", "is out of range"),
        ("recipe.device", "is not on this machine: no GPU with a working driver was found"),
    ];
    assert_eq!(told, expected.map(|(field, problem)| (field.to_owned(), problem.to_owned())));
}

#[test]
fn images_held_out_must_be_there() {
    let beyond = only(&machine(), &format!("validation = 20000\n{EXAMPLE}"));
    assert_eq!(
        (beyond.field.as_str(), beyond.given.as_str(), beyond.allowed.as_str()),
        ("validation", "20000", "0 to 16999")
    );
    let small = EXAMPLE.replace("fashion-mnist-12k", "mnist");
    let usual = only(&machine(), &small);
    assert_eq!(
        (usual.field.as_str(), usual.given.as_str(), usual.allowed.as_str()),
        ("validation", "nothing, which means 5000", "0 to 399")
    );
    assert!(machine().ready(&Study::table(&format!("validation = 0\n{small}")).unwrap()).is_ok());
}

#[test]
fn a_training_that_does_not_fit_into_memory_is_refused_before_it_begins() {
    let large = |batch: u32| EXAMPLE.replace("wrn-10-1", "wrn-40-4") + &format!("[recipe]\nbatch_size = {batch}");
    let refused = only(&machine(), &large(4096));
    assert_eq!((refused.field.as_str(), refused.given.as_str()), ("recipe.batch_size", "4096"));
    assert!(refused.problem.contains("to train wrn-40-4; this machine has 8.0 GB"), "{refused}");
    let most: u32 = refused.allowed.strip_prefix("1 to ").unwrap().parse().unwrap();
    assert!(machine().ready(&Study::table(&large(most)).unwrap()).is_ok());
    assert_eq!(only(&machine(), &large(most + 1)).allowed, refused.allowed);

    // Where not even one image fits, it is the network, the teacher's as well as the student's.
    let little = Machine { memory: Some(200_000_000), ..machine() };
    let both = EXAMPLE.replace("wrn-10-1", "wrn-604-20").replace("wrn-16-2", "wrn-40-20");
    let told: Vec<_> = errors(&little, &both).into_iter().map(|error| (error.field, error.given)).collect();
    let expected = [("student.architecture", "\"wrn-604-20\""), ("teacher.architecture", "\"wrn-40-20\"")];
    assert_eq!(told, expected.map(|(field, given)| (field.to_owned(), given.to_owned())));
    // So are those between them; as a teacher it leaves no room for the student either.
    let chain = format!("{EXAMPLE}chain = \"wrn-604-20\"\n[recipe]\nbatch_size = 8");
    let told: Vec<_> = errors(&little, &chain).into_iter().map(|error| (error.field, error.given)).collect();
    let expected = [("student.architecture", "\"wrn-10-1\""), ("treatment.chain", "\"wrn-604-20\"")];
    assert_eq!(told, expected.map(|(field, given)| (field.to_owned(), given.to_owned())));
    // A teacher that nobody learns from is not trained.
    let alone = EXAMPLE.replace("wrn-16-2", "wrn-604-20").replace("[0, 8, 20]", "0");
    assert!(little.ready(&Study::table(&alone).unwrap()).is_ok());
    // Unknown memory refuses nothing, and a GPU has its own.
    assert!(Machine { memory: None, ..machine() }.ready(&Study::table(&large(4096)).unwrap()).is_ok());
    let gpu = Machine { devices: vec!["cuda:0".into()], ..machine() };
    assert!(gpu.ready(&Study::table(&large(4096)).unwrap()).is_ok());
}

#[test]
fn bytes_are_said_as_a_person_reads_them() {
    let said = [0, 64_000, 1_540_000, 15_400_000, 8_000_000_000, 1_900_000_000_000].map(cost::bytes_in_words);
    assert_eq!(said, ["0.0 kB", "64 kB", "1.5 MB", "15 MB", "8.0 GB", "1.9 TB"]);
}
