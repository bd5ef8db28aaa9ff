"""Writes twelve random tiny BERTs and the vectors that PyTorch computes with them in float32.

    python Tests/Golden/tiny_berts.py        # into Tests/Golden/tiny-berts/

Made with Python 3.11, torch 2.13.0, transformers 5.23.0, sentence-transformers 6.2.0, safetensors 0.8.0, seed 20261.
Even models are saved by sentence-transformers itself (the folder of version 6); odd ones as versions 2 to 5 wrote them.
Each folder holds the model, `inputs.json` ({"ids": [[…]], "unpooled": [n, …]}) and `expected.f32` (little-endian rows).
"""

import json
import pathlib
import shutil

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules.normalize import Normalize
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, models
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

SEED = 20261
ROOT = pathlib.Path(__file__).parent / "tiny-berts"
VOCABULARY = 101
# heads, head size, intermediate size, layers, positions, activation, pooling, normalized, dtype, prefix, lengths
MODELS = [
    (1, 16, 33, 1, 512, "gelu", "mean", True, "F32", "", [1, 2, 511, 512]),
    (1, 17, 40, 2, 64, "relu", "cls", False, "F32", "", [1, 3, 15, 16, 17, 64]),
    (2, 20, 70, 3, 40, "gelu_new", "max", True, "F16", "", [1, 13, 40, 39, 2]),
    (3, 24, 50, 1, 48, "silu", "mean_sqrt_len_tokens", False, "BF16", "bert.", [1, 12, 48, 31]),
    (1, 33, 99, 4, 96, "gelu", "cls", True, "BF16", "bert.", [96, 1, 50, 33, 32]),
    (2, 28, 64, 2, 128, "gelu_pytorch_tanh", "mean", True, "F16", "", [128, 1, 127, 100]),
    (1, 50, 75, 2, 33, "relu", "mean_sqrt_len_tokens", True, "F32", "", [33, 32, 1, 7]),
    (1, 64, 30, 2, 300, "gelu_new", "max", False, "BF16", "", [300, 257, 256, 1]),
    (1, 72, 61, 1, 20, "silu", "mean", False, "F16", "", [20, 1, 5]),
    (1, 80, 90, 4, 24, "gelu", "mean", True, "BF16", "", [24, 23, 1, 9]),
    (3, 18, 54, 3, 200, "gelu", "cls", False, "F16", "bert.", [200, 199, 16, 1]),
    (1, 21, 31, 4, 512, "swish", "max", True, "F32", "", [512, 300, 100, 1]),
]
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
LEGACY = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens"}


def random_model(config: BertConfig, dtype: str) -> BertModel:
    model = BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "LayerNorm.weight" in name:
                parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
            elif name.endswith("bias"):
                parameter.copy_(0.2 * torch.randn_like(parameter))
            elif "embeddings" in name:
                parameter.copy_(torch.randn_like(parameter))
            else:
                parameter.copy_(torch.randn_like(parameter) / parameter.shape[1] ** 0.5)
            # LayerNorms stay in F32 whatever the rest has: one file may mix types.
            if "LayerNorm" not in name:
                parameter.copy_(parameter.to(DTYPES[dtype]).float())
    return model


def save_weights(model: BertModel, path: pathlib.Path, dtype: str, prefix: str, old_names: bool) -> None:
    tensors = {}
    for name, tensor in model.state_dict().items():
        if old_names:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        keep = torch.float32 if "LayerNorm" in name else DTYPES[dtype]
        tensors[prefix + name] = tensor.to(keep).contiguous()
    # What other tools leave in such files, and nobody reads.
    tensors[prefix + "embeddings.position_ids"] = torch.arange(4).unsqueeze(0)
    save_file(tensors, path, metadata={"format": "pt"})


def write_legacy(folder: pathlib.Path, hidden: int, pooling: str, normalized: bool) -> None:
    kinds = ["Transformer", "Pooling"] + (["Normalize"] if normalized else [])
    modules = []
    for index, kind in enumerate(kinds):
        path = "" if index == 0 else f"{index}_{kind}"
        (folder / path).mkdir(exist_ok=True)
        modules.append({"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"})
    (folder / "modules.json").write_text(json.dumps(modules, indent=2))
    settings = {"word_embedding_dimension": hidden}
    settings |= {f"pooling_mode_{name}": mode == pooling for mode, name in LEGACY.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings, indent=2))


def write_current(folder: pathlib.Path, hidden: int, pooling: str, normalized: bool, prompt: bool) -> None:
    words = {f"w{index}": index for index in range(VOCABULARY)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w1")), unk_token="w1", pad_token="w0"
    )
    base = folder.parent / "base"
    shutil.copytree(folder, base)
    tokenizer.save_pretrained(base)
    modules = [Transformer(str(base)), Pooling(hidden, pooling, include_prompt=prompt)]
    SentenceTransformer(modules=modules + ([Normalize()] if normalized else []), device="cpu").save(
        str(base / "saved"), create_model_card=False
    )
    for path in ["modules.json", "1_Pooling", "2_Normalize", "sentence_bert_config.json"]:
        source = base / "saved" / path
        if source.is_dir():
            shutil.copytree(source, folder / path)
        elif source.exists():
            shutil.copy(source, folder / path)
    shutil.rmtree(base)


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    shutil.rmtree(ROOT, ignore_errors=True)
    for index, spec in enumerate(MODELS):
        heads, size, intermediate, layers, positions, act, mode, normalized, dtype, prefix, lengths = spec
        hidden = heads * size
        folder = ROOT / f"{index:02}"
        folder.mkdir(parents=True)
        config = BertConfig(
            vocab_size=VOCABULARY, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
            intermediate_size=intermediate, hidden_act=act, max_position_embeddings=positions,
            layer_norm_eps=1e-12 if index % 3 else 1e-5, type_vocab_size=1 + index % 2,
        )
        model = random_model(config, dtype)
        (folder / "config.json").write_text(config.to_json_string())
        # transformers reads the current names only, so the folder that it loads back keeps them.
        save_weights(model, folder / "model.safetensors", dtype, prefix, old_names=False)
        prompt = index != 4
        if index % 2:
            write_legacy(folder, hidden, mode, normalized)
        else:
            write_current(folder, hidden, mode, normalized, prompt)
        save_weights(model, folder / "model.safetensors", dtype, prefix, old_names=index in (3, 10))

        ids = [torch.randint(0, VOCABULARY, (length,)).tolist() for length in lengths]
        unpooled = 0 if prompt else 1
        pool, rows = Pooling(hidden, mode, include_prompt=prompt), []
        for sequence in ids:
            features = {"attention_mask": torch.ones(1, len(sequence), dtype=torch.int64), "prompt_length": unpooled}
            with torch.no_grad():
                output = model(input_ids=torch.tensor([sequence]), attention_mask=features["attention_mask"])
                features = pool(features | {"token_embeddings": output.last_hidden_state})
                rows.append((Normalize()(features) if normalized else features)["sentence_embedding"][0])
        (folder / "inputs.json").write_text(json.dumps({"ids": ids, "unpooled": [unpooled] * len(ids)}))
        (folder / "expected.f32").write_bytes(torch.stack(rows).numpy().astype("<f4").tobytes())


main()
