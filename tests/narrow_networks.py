"""Arguments that make each architecture small and each encoder narrow, so that tests are quick."""

SMALL = {
    "attention_deeplabv3plus": {"depth": 18, "widths": [8, 8, 16, 16, 32], "pyramid_width": 16},
    "deeplabv3plus": {"depth": 18, "widths": [8, 8, 16, 16, 32], "pyramid_width": 16},
    "fc_densenet": {"first": 8, "growth": 4, "layers": [2, 2, 2, 2], "dropout": 0.1},
    "fcn": {"encoder_arguments": {"widths": [4, 8, 8, 16, 16]}},
    "pspnet": {"encoder_arguments": {"widths": [8, 16, 16, 32, 32]}, "width": 16},
    "segnet": {"stages": 3, "convolutions": 2, "width": 8},
    "unet": {"encoder_arguments": {"widths": [4, 4, 8, 8, 16]}, "decoder_widths": [8, 8, 8, 4, 4]},
}
NARROW = {
    "dense": {"first": 8, "growth": 4, "layers": [2, 2, 2]},
    "drn": {"widths": [4, 4, 8, 8, 16, 16, 16, 8]},
    "mobilenet_v2": {"width": 0.25, "last": 32},
    "plain": {"widths": [4, 8, 16]},
    "resnest101": {"width": 4, "stem": "pool"},
    "resnest50": {"width": 4},
    "resnet": {"widths": [4, 4, 8, 8, 16]},
    "resnet18": {"widths": [4, 4, 8, 8, 16]},
    "resnet34": {"widths": [4, 4, 8, 8, 16]},
    "resnet50": {"widths": [8, 8, 16, 16, 32]},
    "vgg16": {"widths": [4, 8, 8, 16, 16]},
    "vgg16_bn": {"widths": [4, 8, 8, 16, 16]},
    "xception65": {"stem": [4, 4], "entry": [4, 8, 8], "middle": 2, "exits": [8, 8, 16, 16, 16]},
    "xception71": {"stem": [4, 4], "entry": [4, 8, 8], "middle": 2, "exits": [8, 8, 16, 16, 16]},
}
