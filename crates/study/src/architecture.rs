//! Which network: its name, what it is made of and what one image costs.

use crate::layout::{Blocks, Group, Layout, Stem, StemSize};
use serde::{Deserialize, Serialize};
use std::{fmt, ops::RangeInclusive, str::FromStr};

/// A network that can be a teacher or a student. Written as people write it: `wrn-16-2`, `resnet8x4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Architecture {
    /// Wide ResNet (Zagoruyko & Komodakis 2016) for small images: `depth = 6n + 4`, three groups of `n`
    /// basic blocks with 16, 32 and 64 times `width` channels.
    WideResNet { depth: u32, width: u32 },
    /// ResNet (He et al. 2016, section 4.2) for small images as the model zoo has it: `depth = 6n + 2`, three groups of `n` basic
    /// blocks with 16, 32 and 64 times `width` channels. Of width 4 the first convolution has 32 channels, of width 1 it has 16.
    ResNet { depth: u32, width: u32 },
    /// DenseNet (Huang et al. 2017) for small images, without bottlenecks and compression: `depth = 3n + 4`, three groups of `n` blocks,
    /// each of which appends `growth` channels to what it read; 16 at the beginning.
    DenseNet { depth: u32, growth: u32 },
    /// DenseNet-BC, with bottlenecks and compression: `depth = 6n + 4`, three groups of `n` blocks, each of which appends `growth` channels
    /// by way of a bottleneck of `4·growth`; `2·growth` at the beginning, and half of what there is from group to group.
    DenseNetBc { depth: u32, growth: u32 },
    /// ResNet (He et al. 2016) for large images as torchvision has it, where 50 layers halve in their 3×3 convolutions: four groups of
    /// blocks with 64, 128, 256 and 512 channels, of 50 layers bottlenecks with four times as many. `depth` is 18, 34 or 50.
    ImageNetResNet { depth: u32 },
}

impl Architecture {
    /// Deepest Wide ResNet accepted, above the paper's deepest teacher (WRN-250-1).
    pub const DEPTH_MAX: u32 = 604;
    /// Widest one accepted, above the paper's widest teacher (WRN-16-8).
    pub const WIDTH_MAX: u32 = 20;
    /// What a network's name may be, for messages.
    pub const ALLOWED: &str = "wrn-DEPTH-WIDTH with DEPTH = 6n + 4 from 10 to 604 and WIDTH from 1 to 20, such as wrn-16-2; resnet8, resnet14, \
         resnet20, resnet32, resnet44, resnet56, resnet110, resnet8x4, resnet32x4; densenet-40-12, densenet-40-24, densenet-40-48, \
         densenet-100-12, densenet-100-24; densenet-bc-40-12, densenet-bc-40-24, densenet-bc-40-48, densenet-bc-100-12, densenet-bc-100-24; \
         resnet18, resnet34, resnet50, for images of 32 to 256 pixels";

    /// The ResNets of the model zoo (RepDistiller, mdistiller) by depth and width. Not every depth of 6n + 2: resnet50 is another
    /// network.
    const RESNETS: [(u32, u32); 9] = [(8, 1), (14, 1), (20, 1), (32, 1), (44, 1), (56, 1), (110, 1), (8, 4), (32, 4)];

    /// The paper's DenseNets, a student and teachers, by depth and growth; with bottlenecks and compression they have the paper's numbers of
    /// parameters.
    const DENSENETS: [(u32, u32); 5] = [(40, 12), (40, 24), (40, 48), (100, 12), (100, 24)];

    /// torchvision's ResNets by depth, each with its blocks and how many of them its groups have.
    const IMAGE_NET_RESNETS: [(u32, Blocks, [u32; 4]); 3] = [
        (18, Blocks::PostActivation, [2, 2, 2, 2]),
        (34, Blocks::PostActivation, [3, 4, 6, 3]),
        (50, Blocks::Bottleneck, [3, 4, 6, 3]),
    ];

    /// What it is made of, for both engines and for all that is counted.
    pub fn layout(self) -> Layout {
        let small = |channels: u32| Stem { channels, size: StemSize::Small };
        let equal = |channels: [u32; 3], blocks: u32| channels.map(|channels| Group { channels, blocks }).to_vec();
        let doubled = |width: u32| [16 * width, 32 * width, 64 * width];
        match self {
            Self::WideResNet { depth, width } => Layout {
                stem: small(16),
                blocks: Blocks::PreActivation,
                groups: equal(doubled(width), depth.saturating_sub(4) / 6),
            },
            Self::ResNet { depth, width } => Layout {
                stem: small(if width == 1 { 16 } else { 32 }),
                blocks: Blocks::PostActivation,
                groups: equal(doubled(width), depth.saturating_sub(2) / 6),
            },
            Self::DenseNet { depth, growth } => {
                let blocks = depth.saturating_sub(4) / 3;
                let after = |groups: u32| 16 + groups * blocks * growth;
                Layout { stem: small(16), blocks: Blocks::Dense, groups: equal([1, 2, 3].map(after), blocks) }
            }
            Self::DenseNetBc { depth, growth } => {
                let (stem, blocks) = (2 * growth, depth.saturating_sub(4) / 6);
                let first = stem + blocks * growth;
                let second = first / 2 + blocks * growth;
                let third = second / 2 + blocks * growth;
                let groups = equal([first, second, third], blocks);
                Layout { stem: small(stem), blocks: Blocks::DenseBottleneck, groups }
            }
            Self::ImageNetResNet { depth } => {
                let known = Self::IMAGE_NET_RESNETS.into_iter().find(|(of, ..)| *of == depth);
                let (_, blocks, counts) = known.unwrap_or(Self::IMAGE_NET_RESNETS[0]);
                let times = if blocks == Blocks::Bottleneck { 4 } else { 1 };
                let groups = [64, 128, 256, 512].into_iter().zip(counts);
                Layout {
                    stem: Stem { channels: 64, size: StemSize::Large },
                    blocks,
                    groups: groups.map(|(channels, blocks)| Group { channels: times * channels, blocks }).collect(),
                }
            }
        }
    }

    /// Heights and widths in pixels of the images that it can see.
    pub fn image_sizes(self) -> RangeInclusive<u32> {
        match self {
            Self::ImageNetResNet { .. } => 32..=256,
            _ => 8..=64,
        }
    }

    /// Whether the hand-written engine has operators for it: three groups of as many blocks, none of them a bottleneck with a sum. Else
    /// candle's do, on the CPU too, slowly.
    pub fn has_kernels(self) -> bool {
        !matches!(self, Self::ImageNetResNet { .. })
    }

    /// Number of trained numbers (weights, batch-norm scales and shifts, the last layer's bias).
    pub fn parameters(self, channels: u32, classes: u32) -> u64 {
        self.layout().parameters(channels, classes)
    }

    /// Multiply-accumulates of one forward pass of one image (convolutions and the last layer).
    pub fn multiply_accumulates(self, channels: u32, image_size: u32, classes: u32) -> u64 {
        self.layout().multiply_accumulates(channels, image_size, classes)
    }
}

impl FromStr for Architecture {
    type Err = String;
    /// Takes only the one way of writing a network that [`fmt::Display`] has: names are compared and hashed.
    fn from_str(name: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u32>().ok();
        let wide_resnet = || {
            let (depth, width) = name.strip_prefix("wrn-")?.split_once('-')?;
            let (depth, width) = (number(depth)?, number(width)?);
            let valid =
                (10..=Self::DEPTH_MAX).contains(&depth) && depth % 6 == 4 && (1..=Self::WIDTH_MAX).contains(&width);
            valid.then_some(Self::WideResNet { depth, width })
        };
        let resnet = || {
            let rest = name.strip_prefix("resnet")?;
            let (depth, width) = rest.split_once('x').unwrap_or((rest, "1"));
            let (depth, width) = (number(depth)?, number(width)?);
            Self::RESNETS.contains(&(depth, width)).then_some(Self::ResNet { depth, width })
        };
        let densenet = |prefix| {
            let (depth, growth) = name.strip_prefix(prefix)?.split_once('-')?;
            Some((number(depth)?, number(growth)?)).filter(|it| Self::DENSENETS.contains(it))
        };
        let plain = || densenet("densenet-").map(|(depth, growth)| Self::DenseNet { depth, growth });
        let compressed = || densenet("densenet-bc-").map(|(depth, growth)| Self::DenseNetBc { depth, growth });
        let image_net_resnet = || {
            let depth = number(name.strip_prefix("resnet")?)?;
            Self::IMAGE_NET_RESNETS.iter().any(|(of, ..)| *of == depth).then_some(Self::ImageNetResNet { depth })
        };
        let read = wide_resnet().or_else(resnet).or_else(plain).or_else(compressed).or_else(image_net_resnet);
        let read = read.filter(|architecture| architecture.to_string() == name);
        read.ok_or_else(|| format!("not a network; allowed: {}", Self::ALLOWED))
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WideResNet { depth, width } => write!(f, "wrn-{depth}-{width}"),
            Self::ResNet { depth, width: 1 } | Self::ImageNetResNet { depth } => write!(f, "resnet{depth}"),
            Self::ResNet { depth, width } => write!(f, "resnet{depth}x{width}"),
            Self::DenseNet { depth, growth } => write!(f, "densenet-{depth}-{growth}"),
            Self::DenseNetBc { depth, growth } => write!(f, "densenet-bc-{depth}-{growth}"),
        }
    }
}

impl TryFrom<String> for Architecture {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Architecture> for String {
    fn from(architecture: Architecture) -> String {
        architecture.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str) -> Architecture {
        name.parse().unwrap()
    }

    /// Counted by hand from the layer list, and as the model zoo prints them for CIFAR-100.
    #[test]
    fn parameters_are_those_of_the_model_zoo() {
        assert_eq!(network("wrn-16-2").parameters(3, 100), 703_284);
        assert_eq!(network("wrn-40-2").parameters(3, 100), 2_255_156);
        assert_eq!(network("wrn-40-1").parameters(3, 100), 569_780);
        // `sum(p.numel() for p in net.parameters())` of PyTorch's modules of the same layers.
        for (name, parameters) in [
            ("resnet8", 83_892),
            ("resnet14", 181_108),
            ("resnet20", 278_324),
            ("resnet32", 472_756),
            ("resnet44", 667_188),
            ("resnet56", 861_620),
            ("resnet110", 1_736_564),
            ("resnet8x4", 1_233_540),
            ("resnet32x4", 7_433_860),
            ("densenet-40-12", 1_060_132),
            ("densenet-40-24", 3_956_692),
            ("densenet-40-48", 15_270_772),
            ("densenet-100-12", 7_084_852),
            ("densenet-100-24", 27_457_972),
        ] {
            assert_eq!(network(name).parameters(3, 100), parameters, "{name}");
        }
        // As torchvision's documentation lists its weights for ImageNet.
        for (name, parameters) in [("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032)] {
            assert_eq!(network(name).parameters(3, 1000), parameters, "{name}");
        }
    }

    /// Of Cho & Hariharan 2019 for CIFAR-10, who print millions: 0.69, 0.77, 2.73 and 3.02 of the teachers.
    #[test]
    fn parameters_of_densenets_are_the_papers() {
        for (name, parameters) in [
            ("densenet-bc-40-12", 176_122),
            ("densenet-bc-40-24", 690_346),
            ("densenet-bc-100-12", 769_162),
            ("densenet-bc-40-48", 2_733_130),
            ("densenet-bc-100-24", 3_020_506),
        ] {
            assert_eq!(network(name).parameters(3, 10), parameters, "{name}");
        }
    }

    #[test]
    fn multiply_accumulates_follow_the_layers() {
        // wrn-10-1 on 28×28×1: first convolution, group 1 without shortcut at 28, groups 2 and 3 at 14 and 7, last layer.
        let expected = 28 * 28 * 9 * 16
            + 28 * 28 * (9 * 16 * 16 * 2)
            + 14 * 14 * (9 * 16 * 32 + 9 * 32 * 32 + 16 * 32)
            + 7 * 7 * (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64)
            + 64 * 10;
        assert_eq!(network("wrn-10-1").multiply_accumulates(1, 28, 10), expected);
        // The same convolutions in another order.
        assert_eq!(network("resnet8").multiply_accumulates(1, 28, 10), expected);
        // densenet-40-12: of each group's twelve blocks; the transitions' convolutions at the next group's size.
        let blocks = |before: u64| (0..12).map(|index| 9 * (before + 12 * index) * 12).sum::<u64>();
        let expected = 28 * 28 * (9 * 16 + blocks(16))
            + 14 * 14 * (160 * 160 + blocks(160))
            + 7 * 7 * (304 * 304 + blocks(304))
            + 448 * 10;
        assert_eq!(network("densenet-40-12").multiply_accumulates(1, 28, 10), expected);
        // densenet-bc-40-12: of each group's six blocks a 1×1 convolution to 48 channels and a 3×3 one to 12.
        let blocks = |before: u64| (0..6).map(|index| (before + 12 * index) * 48 + 9 * 48 * 12).sum::<u64>();
        let expected = 28 * 28 * (9 * 24 + blocks(24))
            + 14 * 14 * (96 * 48 + blocks(48))
            + 7 * 7 * (120 * 60 + blocks(60))
            + 132 * 10;
        assert_eq!(network("densenet-bc-40-12").multiply_accumulates(1, 28, 10), expected);
        // resnet18 on 224×224×3: 7×7 at 112, then at 56, 28, 14 and 7, where all but the first group have a shortcut.
        let group = |size: u64, before: u64, after: u64| {
            let shortcut = if before == after { 0 } else { before * after };
            size * size * (9 * before * after + 3 * 9 * after * after + shortcut)
        };
        let expected = 112 * 112 * 49 * 3 * 64
            + group(56, 64, 64)
            + group(28, 64, 128)
            + group(14, 128, 256)
            + group(7, 256, 512)
            + 512 * 1000;
        assert_eq!(network("resnet18").multiply_accumulates(3, 224, 1000), expected);
        // As torchvision's documentation counts them, in 10⁹.
        for (name, billions) in [("resnet18", 1.81), ("resnet34", 3.66), ("resnet50", 4.09)] {
            let ours = network(name).multiply_accumulates(3, 224, 1000) as f64 / 1e9;
            assert!((ours - billions).abs() < 0.01, "{name}: {ours}");
        }
        assert!(network("wrn-604-20").multiply_accumulates(3, 32, 10) > 0);
    }

    #[test]
    fn networks_for_large_images_see_no_small_ones_and_have_no_kernels() {
        for (name, sizes, kernels) in [
            ("wrn-16-2", 8..=64, true),
            ("resnet32x4", 8..=64, true),
            ("densenet-40-12", 8..=64, true),
            ("densenet-bc-40-12", 8..=64, true),
            ("resnet18", 32..=256, false),
            ("resnet50", 32..=256, false),
        ] {
            assert_eq!((network(name).image_sizes(), network(name).has_kernels()), (sizes, kernels), "{name}");
        }
        assert_eq!(network("resnet34").layout().map_sizes(224), [56, 28, 14, 7]);
        assert_eq!(network("resnet8x4").layout().map_sizes(32), [32, 16, 8]);
    }

    /// In training candle keeps what each operator gave; alone, it holds what one operator reads and gives.
    #[test]
    fn memory_of_networks_for_large_images_grows_with_the_batch() {
        let [small, large] = ["resnet18", "resnet50"].map(network);
        let bytes = |batch| large.training_bytes(3, 224, 1000, batch, 1);
        assert_eq!(bytes(9) - bytes(8), bytes(2) - bytes(1));
        assert!(small.training_bytes(3, 224, 1000, 8, 1) < bytes(8));
        assert!(small.training_bytes(3, 64, 1000, 8, 1) < small.training_bytes(3, 224, 1000, 8, 1));
        assert!(large.evaluation_bytes(3, 224, 1000, 1) < bytes(8));
        assert!(large.evaluation_bytes(3, 224, 1000, 1) > 4 * large.parameters(3, 1000));
    }

    #[test]
    fn only_one_way_of_writing_a_network() {
        let zoo = ["8", "14", "20", "32", "44", "56", "110", "8x4", "32x4"].map(|name| format!("resnet{name}"));
        let dense = [
            "40-12",
            "40-24",
            "40-48",
            "100-12",
            "100-24",
            "bc-40-12",
            "bc-40-24",
            "bc-40-48",
            "bc-100-12",
            "bc-100-24",
        ];
        let dense = dense.map(|name| format!("densenet-{name}"));
        let wide = ["wrn-10-1", "wrn-16-2", "wrn-250-1", "wrn-604-20"].map(str::to_owned);
        let torchvision = ["resnet18", "resnet34", "resnet50"].map(str::to_owned);
        for name in wide.iter().chain(&zoo).chain(&dense).chain(&torchvision) {
            assert_eq!(network(name).to_string(), *name);
        }
        for name in [
            "",
            "wrn",
            "wrn-",
            "wrn-16",
            "wrn-16-",
            "wrn-15-2",
            "wrn-4-1",
            "wrn-610-1",
            "wrn-16-0",
            "wrn-16-21",
            "wrn-016-2",
            "wrn-+16-2",
            "WRN-16-2",
            "wrn-16-2 ",
            "wrn-1000000000-1",
            "wrn-99999999999999999999-1",
            "wrn-16-2-1",
            "resnet",
            "resnet26",
            "resnet101",
            "resnet18x1",
            "resnet050",
            "resnet8x1",
            "resnet8x2",
            "resnet20x4",
            "resnet08",
            "resnet8x04",
            "resnet8x4x4",
            "resnet-8",
            "densenet",
            "densenet-40",
            "densenet-41-12",
            "densenet-40-13",
            "densenet-040-12",
            "densenet40-12",
            "densenet-bc",
            "densenet-bc-40",
            "densenet-bc-16-12",
            "densenet-bc-40-012",
            "densenet-bc-bc-40-12",
        ] {
            assert!(name.parse::<Architecture>().is_err(), "{name}");
        }
    }

    #[test]
    fn every_network_that_is_told_apart_by_name_is_told_where_one_is_refused() {
        let resnets = Architecture::RESNETS.map(|(depth, width)| Architecture::ResNet { depth, width });
        let plain = Architecture::DENSENETS.map(|(depth, growth)| Architecture::DenseNet { depth, growth });
        let compressed = Architecture::DENSENETS.map(|(depth, growth)| Architecture::DenseNetBc { depth, growth });
        let for_large = Architecture::IMAGE_NET_RESNETS.map(|(depth, ..)| Architecture::ImageNetResNet { depth });
        let told: Vec<&str> = Architecture::ALLOWED.split([' ', ',', ';']).collect();
        for network in resnets.into_iter().chain(plain).chain(compressed).chain(for_large) {
            assert!(told.contains(&network.to_string().as_str()), "{network}");
        }
    }
}
