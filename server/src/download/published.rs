//! Where data sets are published, and what their official files are: how long, and of which checksum.

use study::Dataset;

/// A file that is published.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pub name: &'static str,
    pub bytes: u64,
    /// SHA-256 in hexadecimal digits.
    pub sha256: &'static str,
}

/// Where a data set's files are published, and which they are.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// With a slash at its end.
    pub url: &'static str,
    pub files: &'static [Published],
}

const MNIST: Source = Source {
    // The mirror that PyTorch uses: the makers' own server asks for a password since 2022.
    url: "https://ossci-datasets.s3.amazonaws.com/mnist/",
    files: &[
        Published {
            name: "train-images-idx3-ubyte.gz",
            bytes: 9_912_422,
            sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        },
        Published {
            name: "train-labels-idx1-ubyte.gz",
            bytes: 28_881,
            sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        },
        Published {
            name: "t10k-images-idx3-ubyte.gz",
            bytes: 1_648_877,
            sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        },
        Published {
            name: "t10k-labels-idx1-ubyte.gz",
            bytes: 4_542,
            sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ],
};

const FASHION_MNIST: Source = Source {
    // The repository of its makers: the server that they name beside it cannot encrypt.
    url: "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    files: &[
        Published {
            name: "train-images-idx3-ubyte.gz",
            bytes: 26_421_880,
            sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        },
        Published {
            name: "train-labels-idx1-ubyte.gz",
            bytes: 29_515,
            sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        },
        Published {
            name: "t10k-images-idx3-ubyte.gz",
            bytes: 4_422_102,
            sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        },
        Published {
            name: "t10k-labels-idx1-ubyte.gz",
            bytes: 5_148,
            sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ],
};

const CIFAR: &str = "https://www.cs.toronto.edu/~kriz/";

const CIFAR_10: Source = Source {
    url: CIFAR,
    files: &[Published {
        name: "cifar-10-binary.tar.gz",
        bytes: 170_052_171,
        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    }],
};

const CIFAR_100: Source = Source {
    url: CIFAR,
    files: &[Published {
        name: "cifar-100-binary.tar.gz",
        bytes: 168_513_733,
        sha256: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    }],
};

const TINY_IMAGENET: Source = Source {
    url: "https://cs231n.stanford.edu/",
    files: &[Published {
        name: "tiny-imagenet-200.zip",
        bytes: 248_100_043,
        sha256: "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
    }],
};

/// `None` where nothing is published.
pub fn source(dataset: Dataset) -> Option<Source> {
    match dataset {
        Dataset::Mnist => Some(MNIST),
        Dataset::FashionMnist => Some(FASHION_MNIST),
        Dataset::Cifar10 => Some(CIFAR_10),
        Dataset::Cifar100 => Some(CIFAR_100),
        Dataset::TinyImageNet => Some(TINY_IMAGENET),
        Dataset::FashionMnist12k | Dataset::Folder(_) => None,
    }
}
