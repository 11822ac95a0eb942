//! Both engines against PyTorch, for each kind of network: parameters and logits, and of one kind gradients. Those of the others are in
//! `reference.rs`.

mod formula;

use candle_core::{DType, Device, Tensor};
use formula::{filled, images};
use kernels::InstructionSet;
use study::Architecture;
use train::candle_network::CandleNetwork;
use train::cpu_network::CpuNetwork;
use train::engine::{Engine, NetworkShape, OutputGradient};

/// The script below in words: every tensor, in the zoo's order, is filled with a sequence that repeats after 1,009 numbers, and so is
/// a batch of two images; then the logits in evaluation and in training.
///
/// ```python
/// import math, numpy as np, torch
/// from torch import nn
///
/// class Block(nn.Module):
///     def __init__(self, i, o, stride):
///         super().__init__()
///         self.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False); self.bn1 = nn.BatchNorm2d(o)
///         self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False); self.bn2 = nn.BatchNorm2d(o)
///         shortcut = lambda: nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))
///         self.downsample = shortcut() if i != o else nn.Identity()
///     def forward(self, x):
///         y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
///         return (y + self.downsample(x)).relu()
///
/// class ResNet(nn.Module):
///     def __init__(self, n, channels, image):
///         super().__init__()
///         self.conv1 = nn.Conv2d(image, channels[0], 3, 1, 1, bias=False); self.bn1 = nn.BatchNorm2d(channels[0])
///         for g, (i, o) in enumerate(zip(channels, channels[1:])):
///             blocks = [Block(o if k else i, o, 2 if g and k == 0 else 1) for k in range(n)]
///             setattr(self, f"layer{g + 1}", nn.Sequential(*blocks))
///         self.fc = nn.Linear(channels[3], 10)
///     def forward(self, x):
///         x = self.bn1(self.conv1(x)).relu()
///         return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))
///
/// class Step(nn.Module):
///     def __init__(self, i, o, kernel):
///         super().__init__()
///         self.bn1 = nn.BatchNorm2d(i); self.conv1 = nn.Conv2d(i, o, kernel, 1, kernel // 2, bias=False)
///     def forward(self, x): return self.conv1(self.bn1(x).relu())
///
/// class Bottleneck(nn.Module):
///     def __init__(self, i, o):
///         super().__init__()
///         self.bn1 = nn.BatchNorm2d(i); self.conv1 = nn.Conv2d(i, 4 * o, 1, bias=False)
///         self.bn2 = nn.BatchNorm2d(4 * o); self.conv2 = nn.Conv2d(4 * o, o, 3, 1, 1, bias=False)
///     def forward(self, x): return self.conv2(self.bn2(self.conv1(self.bn1(x).relu())).relu())
///
/// class Group(nn.Module):
///     def __init__(self, i, n, growth, bc):
///         super().__init__()
///         block = lambda i: Bottleneck(i, growth) if bc else Step(i, growth, 3)
///         self.layer = nn.Sequential(*[block(i + k * growth) for k in range(n)])
///     def forward(self, x):
///         for step in self.layer: x = torch.cat([x, step(x)], 1)
///         return x
///
/// class DenseNet(nn.Module):
///     def __init__(self, n, growth, image, bc=False):
///         super().__init__()
///         c = 2 * growth if bc else 16
///         self.conv1 = nn.Conv2d(image, c, 3, 1, 1, bias=False)
///         for g in (1, 2, 3):
///             setattr(self, f"block{g}", Group(c, n, growth, bc)); c += n * growth
///             if g < 3: setattr(self, f"trans{g}", Step(c, given := c // 2 if bc else c, 1)); c = given
///         self.bn1 = nn.BatchNorm2d(c); self.fc = nn.Linear(c, 10)
///     def forward(self, x):
///         x = self.block1(self.conv1(x))
///         x = self.block2(nn.functional.avg_pool2d(self.trans1(x), 2))
///         x = self.block3(nn.functional.avg_pool2d(self.trans2(x), 2))
///         return self.fc(self.bn1(x).relu().mean((2, 3)))
///
/// def fill(net):
///     state = [(name, x) for name, x in net.state_dict().items() if not name.endswith("num_batches_tracked")]
///     for t, (name, x) in enumerate(state):
///         u = ((np.arange(x.numel()) * 7919 + t * 104729) % 1009) / 1009 - 0.5
///         if x.dim() == 4: u = u * math.sqrt(24 / x[0].numel())
///         elif x.dim() == 2: u = u * 0.5
///         elif name.endswith(("weight", "var")): u = 1 + u / 2
///         else: u = u / 2
///         x.copy_(torch.tensor(u.reshape(x.shape)))
///
/// torch.set_default_dtype(torch.float64)
/// resnets = ((1, (16, 16, 32, 64), 1, 28), (3, (16, 16, 32, 64), 3, 32), (1, (32, 64, 128, 256), 3, 32))
/// densenets = ((12, 12, 1, 28), (12, 24, 3, 32), (6, 12, 1, 28, True), (16, 12, 3, 32, True))
/// pixels = lambda c, s: torch.tensor((np.arange(2 * c * s * s) * 31 % 257 / 257 - 0.5) * 4).reshape(2, c, s, s)
/// for kind, n, width, c, s, *bc in [(ResNet, *it) for it in resnets] + [(DenseNet, *it) for it in densenets]:
///     net = kind(n, width, c, *bc)
///     images = pixels(c, s)
///     with torch.no_grad():
///         fill(net)
///         print(sum(p.numel() for p in net.parameters()), net.eval()(images), net.train()(images))
/// ```
struct Expected {
    name: &'static str,
    channels: usize,
    image_size: usize,
    parameters: u64,
    evaluated: [f64; 20],
    trained: [f64; 20],
}

const EXPECTED: [Expected; 7] = [
    Expected {
        name: "resnet8",
        channels: 1,
        image_size: 28,
        parameters: 77_754,
        evaluated: [
            4.02193, -0.93259, -3.79419, 3.14248, 2.65473, -4.36910, 0.77239, 3.84647, -3.86418, -2.54504, 9.12169,
            -0.87338, -8.99267, 4.91233, 7.78424, -9.78202, -0.58585, 10.35423, -7.43504, -6.58497,
        ],
        trained: [
            -0.77389, -0.87118, 1.10835, -0.15057, -1.04735, 0.50066, 1.24354, -1.34503, -0.60702, 1.27673, -0.22155,
            -0.54587, 0.51533, -0.23485, -0.21293, 0.20933, 0.45031, -0.23196, -0.77391, 0.55631,
        ],
    },
    Expected {
        name: "resnet20",
        channels: 3,
        image_size: 32,
        parameters: 272_474,
        evaluated: [
            -0.70346, 2.27073, -0.68367, -0.35628, 1.03336, -1.37759, 0.01663, 0.23888, -0.33441, -0.22323, -0.99683,
            1.47698, 0.03595, -0.16189, 0.10966, -0.98985, 0.45305, -0.10111, -0.81322, 0.47879,
        ],
        trained: [
            -1.26983, -1.54818, 1.56384, 0.77699, -1.87372, 0.14571, 1.68415, -1.74334, -1.55184, 2.46758, -1.52212,
            -1.58916, 1.67943, 0.71066, -2.07689, 0.27549, 1.88311, -1.89720, -1.64536, 2.67124,
        ],
    },
    Expected {
        name: "resnet8x4",
        channels: 3,
        image_size: 32,
        parameters: 1_210_410,
        evaluated: [
            0.81662, -9.23707, -7.48801, 1.07848, 7.80264, 4.62906, -1.69648, -9.01405, -3.71421, 7.02786, 0.74399,
            -9.15697, -7.36229, 1.09519, 7.71990, 4.63728, -1.78222, -8.91142, -3.63720, 6.97607,
        ],
        trained: [
            -1.73404, -3.55046, -2.33845, 2.11616, 3.63047, 0.62280, -2.95511, -3.45929, -0.45847, 4.74870, -1.77679,
            -3.56149, -2.07296, 2.19553, 3.64352, 0.42385, -2.96655, -3.33770, -0.35919, 4.92795,
        ],
    },
    Expected {
        name: "densenet-40-12",
        channels: 1,
        image_size: 28,
        parameters: 1_019_434,
        evaluated: [
            2.39133, -1.84358, -4.55829, -8.06979, -7.77880, -8.14820, -5.60943, -2.60052, 0.95382, 4.53874, 2.39551,
            -1.84740, -4.55182, -8.09943, -7.78005, -8.13508, -5.60615, -2.58666, 0.95494, 4.53139,
        ],
        trained: [
            -1.57290, -2.62710, -3.20791, -3.51442, -3.30983, -2.88370, -1.03225, 0.08519, 2.03528, 4.33237, -1.44026,
            -2.73067, -3.48153, -4.03562, -3.70680, -2.86797, -1.17549, 0.03600, 1.90284, 4.22836,
        ],
    },
    Expected {
        name: "densenet-40-24",
        channels: 3,
        image_size: 32,
        parameters: 3_877_402,
        evaluated: [
            2.74979, 2.89825, -8.56577, 11.40784, -16.56634, 15.73434, -12.69299, 8.63736, -4.11694, -1.10584, 2.69254,
            2.89438, -8.52407, 11.40329, -16.44569, 15.66616, -12.63211, 8.55961, -4.13444, -1.13554,
        ],
        trained: [
            -3.05950, 5.30800, -6.37814, 7.44580, -7.06980, 6.84968, -4.34532, 0.15264, 0.68066, -5.23737, -3.16033,
            5.34538, -6.68131, 7.14147, -7.09165, 6.48249, -3.85791, 0.16703, 1.12417, -5.31621,
        ],
    },
    Expected {
        name: "densenet-bc-40-12",
        channels: 1,
        image_size: 28,
        parameters: 175_690,
        evaluated: [
            0.90301, 0.61263, 0.89917, 0.57389, 0.71031, 0.70627, 1.12430, 2.12659, 1.67668, 1.37119, 0.91744, 0.63091,
            0.91614, 0.58699, 0.71107, 0.71113, 1.11794, 2.11600, 1.66526, 1.35721,
        ],
        trained: [
            -0.13663, -0.40921, -0.27815, -0.24950, -0.24319, -0.21434, 0.32396, 0.68038, 0.38568, 0.71561, -0.39473,
            -0.63129, -0.22420, -0.22890, -0.21529, -0.17629, 0.34588, 0.61535, 0.46700, 0.80648,
        ],
    },
    Expected {
        name: "densenet-bc-100-12",
        channels: 3,
        image_size: 32,
        parameters: 769_162,
        evaluated: [
            0.43170, -4.27988, -3.55077, -4.31351, 2.08544, 4.42533, 4.75045, 0.35296, -4.07230, -4.09069, 0.43469,
            -4.26547, -3.55039, -4.30887, 2.08005, 4.42229, 4.74100, 0.35643, -4.06094, -4.09141,
        ],
        trained: [
            -1.29411, -3.01616, -2.21408, -0.55488, 2.20618, 2.81791, 2.01847, -1.57417, -2.60270, -2.33401, -1.17896,
            -3.11542, -2.29964, -0.56604, 2.02576, 2.82755, 2.06701, -1.52692, -2.60070, -2.51463,
        ],
    },
];

/// Of two images: those of all instruction sets, and candle's in double precision.
fn engines(shape: &NetworkShape) -> Vec<(String, Box<dyn Engine>)> {
    let mut engines: Vec<(String, Box<dyn Engine>)> = InstructionSet::ALL
        .into_iter()
        .filter(|set| set.available())
        .map(|set| {
            let network = CpuNetwork::new(shape, 2, 1, set).expect("an engine");
            (set.to_string(), Box::new(network) as Box<dyn Engine>)
        })
        .collect();
    let candle = CandleNetwork::new(shape, &Device::Cpu, DType::F64).expect("an engine");
    engines.push(("candle".into(), Box::new(candle)));
    engines
}

fn assert_close(what: &str, ours: &[f64], expected: &[f64]) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    for (ours, expected) in ours.iter().zip(expected) {
        assert!((ours - expected).abs() < 2e-4, "{what}: {ours} instead of {expected}");
    }
}

#[test]
fn networks_are_pytorchs() {
    for Expected { name, channels, image_size, parameters, evaluated, trained } in EXPECTED {
        let shape = NetworkShape { architecture: name.parse().expect("a network"), channels, image_size, classes: 10 };
        assert_eq!(shape.architecture.parameters(channels as u32, 10), parameters, "{name}");
        let images = images(&shape, 2);
        for (engine_name, mut engine) in engines(&shape) {
            engine.set_weights(&filled(&shape)).expect("its own weights");
            let numbers = |logits: candle_core::Tensor| -> Vec<f64> {
                logits.to_dtype(DType::F64).and_then(|it| it.flatten_all()?.to_vec1()).expect("numbers")
            };
            let ours = numbers(engine.evaluate(&images).expect("logits"));
            assert_close(&format!("{name} {engine_name} evaluated"), &ours, &evaluated);
            let ours = numbers(engine.forward(&images).expect("logits"));
            assert_close(&format!("{name} {engine_name} trained"), &ours, &trained);
        }
    }
}

/// As above, of one block a group in training: of a gradient of each parameter its length and the number in its middle.
///
/// ```python
/// net = DenseNet(1, 12, 3, True)
/// with torch.no_grad(): fill(net)
/// logits = net.train()(pixels(3, 8))
/// (logits * torch.tensor(np.arange(20) * 7 % 11 / 11 - 0.5).reshape(2, 10)).sum().backward()
/// for name, p in net.named_parameters():
///     print(f'("{name}", {p.grad.norm():.6}, {p.grad.flatten()[p.numel() // 2]:.6}),')
/// ```
#[test]
fn gradients_of_a_densenet_with_bottlenecks_are_pytorchs() {
    let expected = [
        ("conv1.weight", 4.51951, -0.477815),
        ("block1.layer.0.bn1.weight", 0.335636, -0.0819832),
        ("block1.layer.0.bn1.bias", 0.520004, 0.0693662),
        ("block1.layer.0.conv1.weight", 1.04049, -0.0175071),
        ("block1.layer.0.bn2.weight", 0.241493, -0.00781057),
        ("block1.layer.0.bn2.bias", 0.21025, -0.00561574),
        ("block1.layer.0.conv2.weight", 5.28978, 0.159617),
        ("trans1.bn1.weight", 0.986392, 0.301708),
        ("trans1.bn1.bias", 0.74517, 0.213839),
        ("trans1.conv1.weight", 3.42068, 0.0585537),
        ("block2.layer.0.bn1.weight", 0.273388, -0.0575758),
        ("block2.layer.0.bn1.bias", 0.224388, -0.0901644),
        ("block2.layer.0.conv1.weight", 0.629512, 0.00807053),
        ("block2.layer.0.bn2.weight", 0.155835, 0.00945304),
        ("block2.layer.0.bn2.bias", 0.128353, 0.00187762),
        ("block2.layer.0.conv2.weight", 4.12668, -0.00527433),
        ("trans2.bn1.weight", 0.270605, -0.0201526),
        ("trans2.bn1.bias", 0.251533, -0.00490635),
        ("trans2.conv1.weight", 1.14887, 0.0439148),
        ("block3.layer.0.bn1.weight", 0.158604, -0.0384087),
        ("block3.layer.0.bn1.bias", 0.167218, -0.0201331),
        ("block3.layer.0.conv1.weight", 0.406483, -0.00709046),
        ("block3.layer.0.bn2.weight", 0.0814699, -0.00102979),
        ("block3.layer.0.bn2.bias", 0.0767904, -0.0121143),
        ("block3.layer.0.conv2.weight", 1.66846, -0.0157662),
        ("bn1.weight", 0.365783, -0.0798276),
        ("bn1.bias", 0.50017, -0.0579331),
        ("fc.weight", 2.66324, -0.0792599),
        ("fc.bias", 1.08331, -0.272727),
    ];
    let architecture = Architecture::DenseNetBc { depth: 10, growth: 12 };
    let shape = NetworkShape { architecture, channels: 3, image_size: 8, classes: 10 };
    let direction: Vec<f32> = (0..20).map(|place| ((place * 7 % 11) as f64 / 11.0 - 0.5) as f32).collect();
    let direction = Tensor::from_vec(direction, (2, 10), &Device::Cpu).expect("numbers");
    for (engine_name, mut engine) in engines(&shape) {
        engine.set_weights(&filled(&shape)).expect("its own weights");
        engine.forward(&images(&shape, 2)).expect("logits");
        engine.backward(&OutputGradient::of_logits(direction.clone())).expect("gradients");
        let gradients = engine.gradients().expect("gradients");
        assert_eq!(gradients.len(), expected.len());
        for (name, length, middle) in expected {
            let ours: Vec<f64> = gradients[name].values.iter().map(|value| f64::from(*value)).collect();
            let our_length = ours.iter().map(|value| value * value).sum::<f64>().sqrt();
            for (ours, expected) in [(our_length, length), (ours[ours.len() / 2], middle)] {
                assert!((ours - expected).abs() < 2e-4 * length, "{engine_name} {name}: {ours} instead of {expected}");
            }
        }
    }
}
