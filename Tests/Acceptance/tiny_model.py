"""Writes a small BERT with random weights and a WordPiece tokenizer of single characters, for programs that judge what
becomes of texts and not what the vectors mean. The same arguments and seed write the same bytes (NumPy 2).

    python3 Tests/Acceptance/tiny_model.py DIR
"""

import argparse
import json
import pathlib
import string
import sys

import numpy

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation


def vocabulary():
    pieces = [*SPECIAL, *CHARACTERS, *(f"##{character}" for character in CHARACTERS)]
    return {piece: number for number, piece in enumerate(pieces)}


def tokenizer():
    words = vocabulary()

    def added(token):
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        return {"id": words[token], "content": token, "special": True, **flags}

    def special(token):
        return {"SpecialToken": {"id": token, "type_id": 0}}

    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added(token) for token in SPECIAL],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]")],
            "pair": [special("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, special("[SEP]")],
            "special_tokens": {
                token: {"id": token, "ids": [words[token]], "tokens": [token]} for token in ("[CLS]", "[SEP]")
            },
        },
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": words,
        },
    }


def weights(chance, width, layers, positions):
    """Scaled as `Tests/Golden/tiny_berts.py` does, so that vectors of different texts differ well."""

    def linear(name, rows, columns):
        yield f"{name}.weight", chance.standard_normal((rows, columns)) / columns**0.5
        yield f"{name}.bias", 0.2 * chance.standard_normal(rows)

    def norm(name):
        yield f"{name}.LayerNorm.weight", 1 + 0.2 * chance.standard_normal(width)
        yield f"{name}.LayerNorm.bias", 0.2 * chance.standard_normal(width)

    yield "embeddings.word_embeddings.weight", chance.standard_normal((len(vocabulary()), width))
    yield "embeddings.position_embeddings.weight", chance.standard_normal((positions, width))
    yield "embeddings.token_type_embeddings.weight", chance.standard_normal((2, width))
    yield from norm("embeddings")
    for number in range(layers):
        layer = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            yield from linear(f"{layer}.attention.self.{part}", width, width)
        yield from linear(f"{layer}.attention.output.dense", width, width)
        yield from norm(f"{layer}.attention.output")
        yield from linear(f"{layer}.intermediate.dense", 4 * width, width)
        yield from linear(f"{layer}.output.dense", width, 4 * width)
        yield from norm(f"{layer}.output")


def write_safetensors(path, tensors):
    header, parts, offset = {}, [], 0
    for name, tensor in tensors:
        part = tensor.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(part)]}
        parts.append(part)
        offset += len(part)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(b"".join([len(text).to_bytes(8, "little"), text, *parts]))


def write(folder, width=64, layers=2, positions=256, seed=3):
    """The folder of a model with `width` dimensions, mean pooling and unit vectors; returns it."""
    folder = pathlib.Path(folder)
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    (folder / "2_Normalize").mkdir(exist_ok=True)
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": positions,
        "num_attention_heads": width // 32,
        "num_hidden_layers": layers,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": len(vocabulary()),
    }
    pooling = {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True}
    pooling |= {f"pooling_mode_{mode}": False for mode in ("cls_token", "max_tokens", "mean_sqrt_len_tokens")}
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    files = {
        "config.json": config,
        "tokenizer.json": tokenizer(),
        "1_Pooling/config.json": pooling,
        "modules.json": [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (kind, path) in enumerate(modules)
        ],
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1))
    chance = numpy.random.Generator(numpy.random.PCG64(seed))
    write_safetensors(folder / "model.safetensors", weights(chance, width, layers, positions))
    return str(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--width", type=int, default=64, help="dimensions, a multiple of 32")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--positions", type=int, default=256, help="tokens that a text may have")
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    print(write(options.folder, options.width, options.layers, options.positions, options.seed))


if __name__ == "__main__":
    sys.exit(main())
