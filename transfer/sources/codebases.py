"""Whose file it is: one table of key patterns, a declaration for each code base.

The first source, and of it the first layout, that fits a file decides. A layout fits where its place holds a trunk under
canonical names and all of its marks are there. The facts are those of the repositories named with each source; the tests
write their fixtures from that code.

An example: MoCo's checkpoint is `{"epoch": 200, "state_dict": {"module.encoder_q.conv1.weight": ..., "module.queue": ...}}`.
Its layout is `KeyLayout("state_dict:encoder_q.", "state_dict:encoder_k.")`: the tensors lie in the entry `state_dict`; the
wrapper `module.` is taken out of the names, wherever it stands; the online encoder's names begin with `encoder_q.`, the
momentum encoder's with `encoder_k.`. What else must be there is a mark: `encoder_q.fc.weight`, a key of that level, tells
MoCo v1, whose head is one layer, from v2; `/meta/mmpretrain_version` is the entry `mmpretrain_version` of the file's entry
`meta`, whatever it holds; `/author=MMSelfSup` is the file's entry `author` if it holds that text.
"""

from dataclasses import dataclass, replace

from pretrain import backbones
from pretrain.backbones import Variant
from pretrain.provenance import Supervision
from transfer.sources.backbone import Branch
from transfer.sources.namings import DETECTRON2, SEQUENTIAL, TRANSFORMERS, TRANSFORMERS_VIT, Names
from transfer.sources.recipe import CAFFE, USUAL, Recipe


@dataclass(frozen=True)
class KeyLayout:
    """One way a code base keeps a backbone in a file.

    A place is `LEVEL:PREFIX`: the keys, joined by `/`, that lead to the level of the file that holds the tensors, and what
    stands before the names there. `model/trunk:_feature_blocks.` reads `file["model"]["trunk"]["_feature_blocks.conv1.weight"]`
    as `conv1.weight`; `:` reads the file's own level, names as they are. Wrappers (`module.`, `_orig_mod.`) are taken out
    of the names first, wherever they stand.
    """

    online: str
    """Place of the encoder that learns by gradient."""
    momentum: str | None = None
    """Place of its moving average, where there is one."""
    default: Branch = "online"
    """What the project's own conversion takes."""
    marks: tuple[str, ...] = ()
    """What else must be there: `projector.*`, a key of the same level that matches; `/A/B`, entry B of entry A of the file;
    `/A=B`, entry A of the file with the text B."""
    names: Names = ()
    """Turns its names into canonical ones; nothing where they are."""
    form: str | None = None
    """The file's format, where it tells."""
    said: bool = False
    """Fits only where `--source` names it: the file alone doesn't tell."""


@dataclass(frozen=True)
class Source:
    """A code base whose checkpoints can be read."""

    code: str
    """Repository, and the file that says how it converts."""
    layouts: tuple[KeyLayout, ...]
    method: str = "unknown"
    """The method, where it is the code base's only one."""
    telling: tuple[str, ...] | None = ()
    """Marks, beside those of the layouts, that no relative of the method has: only with all of them, or on the user's word, a
    file is said to be of the method. None: relatives write the same files."""
    supervision: Supervision = "self"
    """How labels were used, where the method is said."""
    recipe: Recipe = USUAL
    """How its files are read where neither they, nor what lies beside them, nor the user say it."""
    beware: str = ""
    """What makes that doubtful."""
    doubt: tuple[str, str] | None = None
    """A mark of files for which that is likely wrong, and why: taken only where `--source` says so."""
    families: tuple[str, ...] = ("resnet",)
    """Families of backbones (`Architecture.family`) taken from its files. A ViT's tensors don't show how many
    attention heads it has: a source is listed with `vit` where it is known how many its models have."""
    networks: tuple[str, ...] = ()
    """Architectures that its files are of where their tensors would be taken for another's (`Architecture.taken_for`)."""

    def architecture(self, name: str | None) -> str | None:
        """Return what its files are of where their tensors are taken for, or they are called, the architecture `name`."""
        own = {backbones.get(each).taken_for: each for each in self.networks}
        return own.get(name, name) if name else None


def _pair(online: str, momentum: str, *, marks: tuple[str, ...] = ()) -> tuple[KeyLayout, KeyLayout]:
    """Both encoders, or the online one where the other was left out."""
    both = KeyLayout(online, momentum, marks=marks)
    return both, replace(both, momentum=None)


SOURCES: dict[str, Source] = {
    "detectron2": Source(
        "facebookresearch/detectron2, tools/convert-torchvision-to-d2.py",
        (KeyLayout("model:", names=DETECTRON2), KeyLayout(":", names=DETECTRON2)),
        beware="Detectron2's own default is MSRA's, BGR and strides in the 1×1 convolutions (--source caffe)",
        doubt=(
            "/__author__=Detectron2 Model Zoo",
            "most of Detectron2's zoo began as MSRA's ResNets: stride in the 1×1 convolutions and BGR images, another function",
        ),
    ),
    "caffe": Source(
        "MSRA's ResNets (Caffe) in Detectron2's files, modeling/backbone/resnet.py, and MMDetection's, style='caffe'",
        tuple(
            KeyLayout(place, names=names, said=True)
            for names in (DETECTRON2, ())
            for place in ("model:", "state_dict:backbone.", "state_dict:", ":")
        ),
        recipe=CAFFE,
    ),
    "mocov3": Source(
        "facebookresearch/moco-v3, main_lincls.py",
        (
            *_pair("state_dict:base_encoder.", "state_dict:momentum_encoder."),
            KeyLayout("model:", said=True),
            KeyLayout(":", said=True),
        ),
        "mocov3",
        telling=("predictor.*",),
        families=("resnet", "vit"),
        networks=("vit_small_mocov3", "vit_base_mocov3"),
    ),
    "unimoco": Source(
        "dddzg/unimoco: MoCo with labels for as many images as have one, whose classes stand in a queue of their own",
        tuple(
            each for at in ("state_dict", "") for each in _pair(f"{at}:encoder_q.", f"{at}:encoder_k.", marks=("label_queue",))
        ),
        "unimoco",
        supervision="unknown",
    ),
    "mocov1": Source(
        "facebookresearch/moco, detection/convert-pretrain-to-detectron2.py; a head of one layer",
        (
            *_pair("state_dict:encoder_q.", "state_dict:encoder_k.", marks=("encoder_q.fc.weight",)),
            *_pair(":encoder_q.", ":encoder_k.", marks=("encoder_q.fc.weight",)),
        ),
        "mocov1",
        telling=None,
    ),
    "mocov2": Source(
        "facebookresearch/moco, detection/convert-pretrain-to-detectron2.py",
        (*_pair("state_dict:encoder_q.", "state_dict:encoder_k."), *_pair(":encoder_q.", ":encoder_k.")),
        "mocov2",
        telling=None,
    ),
    "revisitairl": Source(
        "megvii-research/revisitAIRL, convert-pretrain-to-detectron2.py; its MoCo family has a queue",
        (
            KeyLayout("model:online_encoder.", "model:target_encoder.", marks=("queue",)),
            KeyLayout("model:encoder_q.", "model:encoder_k."),
            KeyLayout("model:student_encoder.", "model:teacher_encoder."),
        ),
    ),
    "byol": Source(
        "megvii-research/revisitAIRL, exp/byol.py; no queue",
        _pair("model:online_encoder.", "model:target_encoder."),
        "byol",
    ),
    "simsiam": Source(
        "facebookresearch/simsiam, main_lincls.py",
        (KeyLayout("state_dict:encoder.", marks=("predictor.*",)),),
        "simsiam",
    ),
    "swav": Source(
        "facebookresearch/swav, eval_linear.py",
        tuple(KeyLayout(place, marks=("projection_head.*", "prototypes.weight")) for place in ("state_dict:", ":")),
        "swav",
    ),
    "dino": Source(
        "facebookresearch/dino, eval_linear.py: --checkpoint_key teacher",
        (KeyLayout("student:backbone.", "teacher:backbone.", "momentum"), KeyLayout(":", said=True)),
        "dino",
        telling=("/dino_loss",),
        families=("resnet", "vit"),
    ),
    "barlowtwins": Source(
        "facebookresearch/barlowtwins, main.py",
        (KeyLayout("model:backbone.", marks=("projector.*", "bn.running_mean")), KeyLayout(":", said=True)),
        "barlowtwins",
    ),
    "vicreg": Source(
        "facebookresearch/vicreg, evaluate.py",
        (KeyLayout("model:backbone.", marks=("projector.*",)), KeyLayout(":", said=True)),
        "vicreg",
        telling=None,
    ),
    "vissl": Source(
        "facebookresearch/vissl, extra_scripts/convert_vissl_to_torchvision.py",
        (
            KeyLayout("classy_state_dict/base_model/model/trunk:_feature_blocks."),
            KeyLayout("classy_state_dict/base_model/model/trunk:base_model._feature_blocks."),
            KeyLayout("model_state_dict:_feature_blocks."),
            KeyLayout(":_feature_blocks."),
        ),
    ),
    "solo-learn": Source(
        "vturrisi/solo-learn, downstream/object_detection/convert_model_to_detectron2.py",
        (
            *_pair("state_dict:backbone.", "state_dict:momentum_backbone.", marks=("classifier.weight",)),
            KeyLayout("state_dict:encoder.", marks=("classifier.weight",)),
        ),
    ),
    "openselfsup": Source(
        "open-mmlab/OpenSelfSup, tools/extract_backbone_weights.py",
        (
            KeyLayout("state_dict:backbone.", "state_dict:encoder_k.0.", marks=("encoder_q.0.*",)),
            KeyLayout("state_dict:backbone.", "state_dict:target_net.0.", marks=("online_net.0.*",)),
            KeyLayout("state_dict:backbone.", marks=("/meta/openselfsup_version",)),
            KeyLayout("state_dict:", marks=("/author=OpenSelfSup",)),
        ),
    ),
    "mmpretrain": Source(
        "open-mmlab/mmpretrain, models/classifiers/image.py and tools/model_converters/publish_model.py",
        (
            KeyLayout("state_dict:backbone.", marks=("/meta", "head.fc.weight")),
            KeyLayout("state_dict:backbone.", marks=("/meta/mmpretrain_version",)),
        ),
    ),
    "mmselfsup": Source(
        "open-mmlab/mmselfsup, tools/model_converters/extract_backbone_weights.py; MMPretrain's models/selfsup write the same",
        (
            KeyLayout("state_dict:backbone.", "state_dict:encoder_k.0.", marks=("/meta",)),
            KeyLayout("state_dict:backbone.", "state_dict:target_net.0.", marks=("/meta",)),
            KeyLayout("state_dict:backbone.", "state_dict:momentum_encoder.0.", marks=("/meta",)),
            KeyLayout("state_dict:backbone.", marks=("/meta",)),
            KeyLayout("state_dict:", marks=("/author=MMSelfSup",)),
        ),
    ),
    "lightly": Source(
        "lightly-ai/lightly, benchmarks/imagenet/resnet50 (torchvision's names) and examples/pytorch_lightning (a Sequential)",
        tuple(
            replace(layout, names=names)
            for names in ((), SEQUENTIAL)
            for layout in (
                KeyLayout("state_dict:backbone.", "state_dict:backbone_momentum."),
                KeyLayout("state_dict:backbone.", "state_dict:teacher_backbone."),
                KeyLayout("state_dict:backbone.", "state_dict:key_backbone."),
                KeyLayout("state_dict:student_backbone.", "state_dict:backbone.", "momentum"),
                KeyLayout("state_dict:student_backbone.", "state_dict:teacher_backbone."),
                KeyLayout("state_dict:backbone.", marks=("projection_head.*",)),
            )
        ),
    ),
    "huggingface": Source(
        "huggingface/transformers, models/resnet/modeling_resnet.py",
        (KeyLayout(":resnet.", names=TRANSFORMERS), KeyLayout(":", names=TRANSFORMERS)),
    ),
    "huggingface-vit": Source(
        "huggingface/transformers, models/vit/modeling_vit.py; its norms add 1e-12 by default",
        tuple(KeyLayout(f":{prefix}", names=TRANSFORMERS_VIT) for prefix in ("vit.", "deit.", "")),
        recipe=Recipe(variant=Variant(eps=1e-12)),
        families=("vit",),
    ),
    "mae": Source(
        "facebookresearch/mae, main_pretrain.py and models_mae.py",
        (
            KeyLayout("model:", marks=("mask_token", "decoder_pos_embed")),
            KeyLayout("model:", said=True),
            KeyLayout(":", said=True),
        ),
        "mae",
        families=("vit",),
    ),
    "deit": Source(
        "facebookresearch/deit, main.py; whoever fine-tunes with it, such as MAE, writes the same",
        (
            KeyLayout("model:", "model_ema:", marks=("head.weight",)),
            KeyLayout("model:", marks=("head.weight",)),
            KeyLayout(":", said=True),
        ),
        "supervised",
        telling=None,
        supervision="full",
        families=("vit",),
    ),
    "timm": Source(
        "huggingface/pytorch-image-models, timm/utils/checkpoint_saver.py; models/_helpers.py takes the average by default",
        (
            KeyLayout("state_dict:", "state_dict_ema:", "momentum", marks=("/version", "/arch")),
            KeyLayout("state_dict:", marks=("/version", "/arch")),
            KeyLayout(":", form="safetensors"),
            KeyLayout(":", said=True),
        ),
        families=("resnet", "vit"),
    ),
    "torchvision": Source(
        "pytorch/vision, torchvision/models/resnet.py and references/classification/train.py",
        (KeyLayout(":", marks=("fc.weight",)), KeyLayout("model:", marks=("fc.weight",))),
        "supervised",
        supervision="full",
    ),
    "plain": Source(
        "torchvision's or timm's names and no more; Barlow Twins, VICReg and DINO publish such files (--source)",
        (KeyLayout(":"), KeyLayout("state_dict:"), KeyLayout("model:")),
        families=("resnet", "vit"),
    ),
}
"""Checkpoint sources in the order they are tried; files of this project say so themselves, and are not in question."""
