//! What the classes are called, in the order of their labels, where the files say only numbers.

use study::Dataset;

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const CLOTHES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];
const OBJECTS: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// As `fine_label_names.txt` has them.
#[rustfmt::skip]
const FINE_OBJECTS: [&str; 100] = [
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
    "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
    "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
    "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
    "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
];

/// As long as a file's name can be on most systems.
const BYTES_MAX: usize = 255;

/// Names that come with the files: they stand on pages and in messages.
///
/// # Errors
/// Of the first that no page could show.
pub(super) fn shown<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, String> {
    let plain = |name: &'a str| match name.len() {
        1..=BYTES_MAX if !name.contains(char::is_control) => Ok(name.to_owned()),
        _ => {
            let start: String = name.chars().take(40).collect();
            Err(format!("the class {start:?} has no name of 1 to {BYTES_MAX} bytes of plain text"))
        }
    };
    names.into_iter().map(plain).collect()
}

/// Empty where the files themselves say it.
pub(super) fn of(dataset: Dataset) -> Vec<String> {
    let names: &[&str] = match dataset {
        Dataset::FashionMnist12k | Dataset::FashionMnist => &CLOTHES,
        Dataset::Mnist => &DIGITS,
        Dataset::Cifar10 => &OBJECTS,
        Dataset::Cifar100 => &FINE_OBJECTS,
        Dataset::TinyImageNet | Dataset::Folder(_) => &[],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}
