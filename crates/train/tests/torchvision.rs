//! torchvision's ResNets against PyTorch: logits, gradients through logits and attention maps, steps; and a file of torchvision's names.

mod formula;

use candle_core::{DType, Device, Tensor};
use formula::{filled, images};
use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use study::{Optimizer, Term};
use train::candle_network::CandleNetwork;
use train::cpu_network::CpuNetwork;
use train::engine::{Engine, NetworkShape, OutputGradient, Values};
use train::imported::{OfItself, import};
use train::objective::{self, Outputs};

/// The script below in words: every tensor, in torchvision's order, is filled with a sequence that repeats after 1,009 numbers, and so is
/// a batch of three images, all in single precision. Then, in double precision, the first image's logits in evaluation and in training; of
/// some parameters the gradient's norm and its sum weighted by the cosines of 0, 1, 2, ... (which knows its order), where the loss is
/// cross-entropy and a weighted mean of each attention map; and the cross-entropy before three steps on itself alone.
///
/// ```python
/// import math, numpy as np, torch
/// from torch import nn
///
/// class Block(nn.Module):
///     def __init__(self, i, middle, o, stride):
///         super().__init__()
///         kernels = (3, 3) if middle == o else (1, 3, 1)
///         channels = (i, *[middle] * (len(kernels) - 1), o)
///         for k, kernel in enumerate(kernels):
///             s = stride if k == len(kernels) - 2 else 1
///             setattr(self, f"conv{k + 1}", nn.Conv2d(channels[k], channels[k + 1], kernel, s, kernel // 2, bias=False))
///             setattr(self, f"bn{k + 1}", nn.BatchNorm2d(channels[k + 1]))
///         if i != o or stride != 1:
///             self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))
///         self.last = len(kernels)
///     def forward(self, x):
///         y = x
///         for k in range(1, self.last + 1):
///             y = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(y))
///             if k < self.last: y = y.relu()
///         return (y + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()
///
/// class ImageNetResNet(nn.Module):
///     def __init__(self, counts, times, classes, colours=3):
///         super().__init__()
///         self.conv1 = nn.Conv2d(colours, 64, 7, 2, 3, bias=False); self.bn1 = nn.BatchNorm2d(64); i = 64
///         for g, n in enumerate(counts):
///             middle = 64 << g; o = middle * times
///             blocks = [Block(o if k else i, middle, o, 2 if g and k == 0 else 1) for k in range(n)]
///             setattr(self, f"layer{g + 1}", nn.Sequential(*blocks)); i = o
///         self.fc = nn.Linear(i, classes)
///     def looked(self, x):
///         x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1); maps = []
///         for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
///             x = layer(x); maps.append(x.pow(2).mean(1).flatten(1))
///         return self.fc(x.mean((2, 3))), maps
///     def forward(self, x): return self.looked(x)[0]
///
/// single = lambda u: torch.tensor(np.asarray(u).astype(np.float32).astype(np.float64))
///
/// def fill(net):
///     state = [(name, x) for name, x in net.state_dict().items() if not name.endswith("num_batches_tracked")]
///     for t, (name, x) in enumerate(state):
///         u = ((np.arange(x.numel()) * 7919 + t * 104729) % 1009) / 1009 - 0.5
///         if x.dim() == 4: u = u * math.sqrt(24 / x[0].numel())
///         elif x.dim() == 2: u = u * 0.5
///         elif name.endswith(("weight", "var")): u = 1 + u / 2
///         else: u = u / 2
///         x.copy_(single(u).reshape(x.shape))
///
/// torch.set_default_dtype(torch.float64)
/// cosines = lambda x: torch.cos(torch.arange(x.numel()).double()).reshape(x.shape)
/// for counts, times, s in (((2, 2, 2, 2), 1, 64), ((3, 4, 6, 3), 1, 36), ((3, 4, 6, 3), 4, 64)):
///     net = ImageNetResNet(counts, times, 10)
///     images = single((np.arange(3 * 3 * s * s) * 31 % 257 / 257 - 0.5) * 4).reshape(3, 3, s, s)
///     labels = torch.tensor([3, 1, 8])
///     with torch.no_grad(): fill(net); print(net.eval()(images).flatten().tolist()[:10])
///     logits, maps = net.train().looked(images)
///     print(logits.flatten().tolist()[:10])
///     look = sum((m * single((cosines(m) / m.numel()).numpy())).sum() for m in maps)
///     (nn.functional.cross_entropy(logits, labels) + look).backward()
///     for name, p in net.named_parameters(): print(name, p.grad.norm().item(), (p.grad * cosines(p)).sum().item())
///     with torch.no_grad(): fill(net)
///     sgd = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
///     for step in range(3):
///         sgd.zero_grad(); loss = nn.functional.cross_entropy(net(images), labels); loss.backward(); sgd.step()
///         print(loss.item())
///     print(net.layer4[0].bn1.running_var.sum().item())
/// ```
struct Expected {
    name: &'static str,
    image_size: usize,
    evaluated: [f64; 10],
    trained: [f64; 10],
    gradients: [(&'static str, f64, f64); 7],
    losses: [f64; 3],
    running_variance: f64,
}

const EXPECTED: [Expected; 3] = [
    Expected {
        name: "resnet18",
        image_size: 64,
        evaluated: [
            10.858299696129338,
            -30.568370638479593,
            23.981162611905596,
            1.5048086887425183,
            -19.70295756955239,
            33.98366199703889,
            -14.222284309636894,
            -11.17132179173715,
            31.159452936442825,
            -37.33087618631294,
        ],
        trained: [
            -4.372880731005775,
            -8.106603201999846,
            11.874025476387597,
            -7.246234285712457,
            -0.5566903055447393,
            9.362980106791891,
            -10.587860720977329,
            3.3728266601303236,
            3.8416608483633565,
            -9.860854888340775,
        ],
        gradients: [
            ("conv1.weight", 465.2351395186263, -24.002639073414002),
            ("bn1.bias", 8.0477383442929, -0.9694108640225299),
            ("layer1.0.conv1.weight", 191.6198270823473, 72.1410225307976),
            ("layer2.0.downsample.0.weight", 23.21786146378846, 12.382929994434992),
            ("layer3.0.conv2.weight", 45.14408283245707, -0.9300765402753797),
            ("layer4.1.bn2.weight", 1.437506895146216, 0.7885685956258414),
            ("fc.weight", 23.734731789983776, 4.804066652735203),
        ],
        losses: [15.63791654741201, 11.243164525462243, 9.016182305979092],
        running_variance: 1921.869923200422,
    },
    Expected {
        name: "resnet34",
        image_size: 36,
        evaluated: [
            21635.18333288749,
            -28268.515096202085,
            -820.2279939579544,
            986.7162825699984,
            -21366.326551849215,
            20946.724948376435,
            -489.2296678569337,
            -7534.765409719614,
            32737.37695359424,
            -15993.062514113415,
        ],
        trained: [
            -1.796953215899865,
            -9.885412739362309,
            14.11572876942617,
            -8.917996222342941,
            -6.262319074291167,
            13.4544825161131,
            -10.721988933412838,
            1.788340756197503,
            8.381426026119602,
            -13.21639317454608,
        ],
        gradients: [
            ("conv1.weight", 2165.823249498393, -360.3215031011246),
            ("bn1.bias", 26.286848512042102, -3.8295834570505605),
            ("layer1.0.conv1.weight", 1248.8516643118103, -357.3717087754377),
            ("layer2.0.downsample.0.weight", 121.82943647669248, -38.36899602596278),
            ("layer3.0.conv2.weight", 50.56999444100599, -17.729624443814785),
            ("layer4.1.bn2.weight", 1.429239260824637, -1.304265170380055),
            ("fc.weight", 28.46445900440222, -5.495185251018707),
        ],
        losses: [19.168677627192366, 10.64314027760578, 7.579336418549595],
        running_variance: 11355.957657990512,
    },
    Expected {
        name: "resnet50",
        image_size: 64,
        evaluated: [
            53963.41126143106,
            -41326.594899771815,
            42583.14034697737,
            -37288.6167859501,
            32325.943554850142,
            -32983.271919641986,
            -2400.753205142743,
            451.71128269077076,
            -8538.362873728493,
            28745.340933565,
        ],
        trained: [
            8.369767414627733,
            -25.45585162699835,
            37.259326037974496,
            -53.25564991406538,
            55.06486951947005,
            -50.856884646156296,
            55.54717604071175,
            -45.95574058582334,
            27.17430165621466,
            -12.489577837608831,
        ],
        gradients: [
            ("conv1.weight", 1205214.8023962972, -403922.87158809754),
            ("bn1.bias", 1653.913459489586, -116.99985385017021),
            ("layer1.0.conv1.weight", 239497.33425596467, -15326.337520733661),
            ("layer2.0.downsample.0.weight", 37387.870191043, -8383.208418497437),
            ("layer3.0.conv2.weight", 12089.65994547124, -841.2358551909728),
            ("layer4.1.bn2.weight", 9.103014984930793, 1.3209573491186266),
            ("fc.weight", 49.838467914329215, -2.831514166475496),
        ],
        losses: [70.58044726170108, 46.54907860840208, 36.65045876581652],
        running_variance: 39000.8292750781,
    },
];

const LABELS: [u32; 3] = [3, 1, 8];

fn shape(name: &str, image_size: usize) -> NetworkShape {
    NetworkShape { architecture: name.parse().expect("a network"), channels: 3, image_size, classes: 10 }
}

fn network(shape: &NetworkShape, dtype: DType) -> CandleNetwork {
    let mut network = CandleNetwork::new(shape, &Device::Cpu, dtype).expect("an engine");
    network.set_weights(&filled(shape)).expect("its own weights");
    network
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).and_then(|tensor| tensor.flatten_all()?.to_vec1()).expect("numbers")
}

/// `within`: of the largest that is expected.
#[track_caller]
fn assert_close(what: &str, ours: &[f64], expected: &[f64], within: f64) {
    let largest = expected.iter().fold(0.0f64, |largest, it| largest.max(it.abs()));
    for (ours, expected) in ours.iter().zip(expected) {
        assert!((ours - expected).abs() < within * largest, "{what}: {ours} instead of {expected}");
    }
}

/// Cross-entropy and its gradient on the logits.
fn loss(logits: Tensor) -> (f64, Tensor) {
    let labels = Tensor::new(&LABELS, &Device::Cpu).expect("labels");
    let terms = [(1.0, Term::CrossEntropy)];
    let values = objective::terms(&terms, &Outputs::of_logits(logits), &labels, &BTreeMap::new()).expect("a loss");
    let gradient = objective::weighted_gradient(&terms, &values, |_| true).expect("a gradient");
    (values[0].value, gradient.logits)
}

#[test]
fn logits_and_gradients_are_pytorchs() {
    for Expected { name, image_size, evaluated, trained, gradients, .. } in EXPECTED {
        let shape = shape(name, image_size);
        let mut network = network(&shape, DType::F64);
        let images = images(&shape, LABELS.len());
        let (logits, evaluated_maps) = network.evaluate_with_attention(&images).expect("logits and maps");
        assert_close(&format!("{name} evaluated"), &numbers(&logits)[..10], &evaluated, 1e-6);
        let pixels: Vec<usize> = evaluated_maps.iter().map(|map| map.dims()[1]).collect();
        assert_eq!(pixels, shape.attention_pixels(), "{name}");
        let logits = network.forward(&images).expect("logits");
        assert_close(&format!("{name} trained"), &numbers(&logits)[..10], &trained, 1e-6);
        let of_map = |map: Tensor| {
            let len = map.elem_count();
            let weights: Vec<f32> = (0..len).map(|place| ((place as f64).cos() / len as f64) as f32).collect();
            Tensor::from_vec(weights, map.dims(), &Device::Cpu).expect("weights")
        };
        let attention = network.attention().expect("maps").into_iter().map(of_map).collect();
        network.backward(&OutputGradient { logits: loss(logits).1, attention }).expect("gradients");
        let found = network.gradients().expect("gradients");
        for (parameter, norm, weighted) in gradients {
            let values: Vec<f64> = found[parameter].values.iter().map(|value| f64::from(*value)).collect();
            let ours = [
                values.iter().map(|value| value * value).sum::<f64>().sqrt(),
                values.iter().enumerate().map(|(place, value)| value * (place as f64).cos()).sum(),
            ];
            assert_close(&format!("{name} {parameter}"), &ours, &[norm, weighted], 1e-6);
        }
    }
}

#[test]
fn steps_are_pytorchs() {
    let optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 };
    for Expected { name, image_size, losses, running_variance, .. } in EXPECTED {
        let shape = shape(name, image_size);
        let mut network = network(&shape, DType::F64);
        let images = images(&shape, LABELS.len());
        let ours = [(); 3].map(|()| {
            let (value, gradient) = loss(network.forward(&images).expect("logits"));
            network.backward(&OutputGradient::of_logits(gradient)).expect("gradients");
            network.step(0.01, &optimizer).expect("a step");
            value
        });
        assert_close(name, &ours, &losses, 1e-6);
        let running = &network.weights().expect("weights")["layer4.0.bn1.running_var"];
        let sum = running.values.iter().map(|value| f64::from(*value)).sum::<f64>();
        assert_close(name, &[sum], &[running_variance], 1e-6);
    }
}

/// What trains and teaches.
#[test]
fn single_precision_says_the_same() {
    for Expected { name, image_size, evaluated, trained, .. } in EXPECTED {
        let shape = shape(name, image_size);
        let mut network = network(&shape, DType::F32);
        let images = images(&shape, LABELS.len());
        assert_close(name, &numbers(&network.evaluate(&images).expect("logits"))[..10], &evaluated, 1e-4);
        assert_close(name, &numbers(&network.forward(&images).expect("logits"))[..10], &trained, 2e-3);
    }
}

/// A worker is given its threads by the variable that candle reads when its process begins: so each number of them in a process of its own.
#[test]
fn threads_change_no_bit() {
    let bits = [1, 2, 3].map(|threads: u32| {
        let mut child = Command::new(std::env::current_exe().expect("this test"));
        child
            .args(["--ignored", "--exact", "says_its_bits", "--nocapture"])
            .env("RAYON_NUM_THREADS", threads.to_string());
        let said = String::from_utf8(child.output().expect("it runs").stdout).expect("text");
        let bits = said.lines().find_map(|line| Some(line.split_once("bits: ")?.1.to_owned()));
        bits.unwrap_or_else(|| panic!("{said}"))
    });
    assert!(bits[0] == bits[1] && bits[0] == bits[2], "{bits:?}");
}

#[test]
#[ignore = "run by another test in a process of its own"]
fn says_its_bits() {
    // FNV-1a.
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    // Few large images, and so many small ones that the sums over a batch are long.
    for (image_size, batch) in [(64, 3), (32, 32)] {
        let shape = shape("resnet18", image_size);
        let mut network = network(&shape, DType::F32);
        let images = images(&shape, batch);
        for _ in 0..2 {
            // Half the sum of the logits' squares, whose gradient they are themselves.
            let logits = network.forward(&images).expect("logits");
            network.backward(&OutputGradient::of_logits(logits)).expect("gradients");
            network.step(0.01, &Optimizer::Sgd { momentum: 0.9, weight_decay: 5e-4 }).expect("a step");
        }
        let evaluated =
            network.evaluate(&images).and_then(|it| Ok(it.flatten_all()?.to_vec1::<f32>()?)).expect("logits");
        let weights = network.weights().expect("weights");
        for number in weights.values().flat_map(|tensor| &tensor.values).chain(&evaluated) {
            assert!(number.is_finite(), "numbers that are none have the same bits");
            hash = (hash ^ u64::from(number.to_bits())).wrapping_mul(0x0100_0000_01b3);
        }
    }
    println!("bits: {hash:016x}");
}

#[test]
fn the_hand_written_engine_says_that_it_has_no_operators() {
    let set = kernels::InstructionSet::Portable;
    for name in ["resnet18", "resnet34", "resnet50"] {
        let Err(error) = CpuNetwork::for_evaluation(&shape(name, 64), 1, set) else { panic!("{name} was opened") };
        assert!(error.to_string().contains(&format!("architecture is {name}")), "{error}");
    }
}

/// A file as `safetensors.torch.save_file(model.state_dict(), ...)` writes it, batch counters included.
#[test]
fn torchvisions_own_file_is_imported_and_what_does_not_fit_is_named() {
    let root = tempfile::tempdir().expect("a folder");
    let shape = shape("resnet18", 32);
    let file = root.path().join("resnet18.safetensors");
    let save = |change: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let tensor = |values: &Values| Tensor::from_slice(&values.values, values.shape.as_slice(), &Device::Cpu);
        let filled = filled(&shape);
        let mut tensors: HashMap<String, Tensor> =
            filled.iter().map(|(name, values)| (name.clone(), tensor(values).expect("a tensor"))).collect();
        for name in filled.keys().filter_map(|name| name.strip_suffix("running_mean")) {
            let counter = Tensor::new(7i64, &Device::Cpu).expect("a number");
            tensors.insert(format!("{name}num_batches_tracked"), counter);
        }
        // 62 of them with weights and statistics, as torchvision's has for 1000 classes.
        assert_eq!(tensors.len(), 122);
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, &file).expect("a file");
    };
    let import = |architecture: &str| {
        let said = OfItself {
            architecture: Some(architecture.parse().expect("a network")),
            normalisation: Some([vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225]]),
        };
        import(root.path(), &file, said, "torchvision")
    };
    save(&|_| ());
    let teacher = import("resnet18").expect("it fits");
    assert_eq!((teacher.channels, teacher.classes), (3, 10));
    assert!(teacher.network.to_string().starts_with("resnet18 from "), "{}", teacher.network);
    let told = |architecture: &str| import(architecture).expect_err("no fit").to_string();
    // Eight blocks of ten tensors each.
    let deeper = told("resnet34");
    assert!(deeper.contains("layer1.2.conv1.weight is missing"), "{deeper}");
    assert_eq!(deeper.matches(" is missing").count(), 80, "{deeper}");
    let wider = told("resnet50");
    for problem in
        ["layer1.0.conv3.weight is missing", "layer1.0.conv1.weight is [64, 64, 3, 3], expected [64, 64, 1, 1]"]
    {
        assert!(wider.contains(problem), "{wider}");
    }
    // The zoo's network for small images has a smaller first convolution and no fourth group.
    let small = told("resnet20");
    assert!(small.contains("layer4.0.conv1.weight is not in this network"), "{small}");
    save(&|tensors| drop(tensors.remove("layer4.0.downsample.1.bias")));
    assert!(told("resnet18").contains("layer4.0.downsample.1.bias is missing"));
}
