"""Writes a model of bge-base's shape with random weights, and what other engines need to run it.

Into `--output`: `model/` (config.json, model.safetensors, the tokenizer of `--tokenizer`, mean pooling, normalised),
`minilm.onnx` (the name that comparisons look for), `mixed.ndjson` (the first texts of `--texts`) and `mixed.ref.f32`, their
vectors by PyTorch in fp32. Made with torch 2.13.0, transformers 5.23.0 and a seed; weights are as BERT initialises them.
"""

import argparse
import json
import os
import shutil

import numpy
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

SEED = 20261123


class LastHiddenState(torch.nn.Module):
    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.bert(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)[0]


def write_model(folder, tokenizer_folder):
    torch.manual_seed(SEED)
    config = BertConfig(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        vocab_size=30522,
    )
    config._attn_implementation = "eager"
    bert = BertModel(config, add_pooling_layer=False).eval()
    os.makedirs(os.path.join(folder, "1_Pooling"), exist_ok=True)
    bert.save_pretrained(folder, safe_serialization=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "sentence_bert_config.json"):
        path = os.path.join(tokenizer_folder, name)
        if os.path.exists(path):
            shutil.copyfile(path, os.path.join(folder, name))
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    with open(os.path.join(folder, "modules.json"), "w") as file:
        modules = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(kinds)
        ]
        json.dump(modules, file)
    with open(os.path.join(folder, "1_Pooling", "config.json"), "w") as file:
        json.dump({"word_embedding_dimension": 768, "pooling_mode_mean_tokens": True}, file)
    return bert


def reference(bert, tokenizer, texts):
    rows = []
    with torch.no_grad():
        for text in texts:
            ids = torch.tensor([tokenizer.encode(text).ids])
            mean = bert(input_ids=ids, attention_mask=torch.ones_like(ids))[0][0].mean(0)
            rows.append((mean / mean.norm()).numpy())
    return numpy.stack(rows).astype("<f4")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, metavar="DIR", help="a BERT model's folder")
    parser.add_argument("--texts", required=True, metavar="FILE", help="NDJSON with `text`")
    parser.add_argument("--count", type=int, default=128, help="how many of the texts")
    parser.add_argument("--output", required=True, metavar="DIR")
    options = parser.parse_args()
    with open(options.texts) as file:
        lines = [line for _, line in zip(range(options.count), file)]
    folder = os.path.join(options.output, "model")
    bert = write_model(folder, options.tokenizer)
    with open(os.path.join(options.output, "mixed.ndjson"), "w") as file:
        file.writelines(lines)
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    vectors = reference(bert, tokenizer, [json.loads(line)["text"] for line in lines])
    vectors.tofile(os.path.join(options.output, "mixed.ref.f32"))
    names = ["input_ids", "attention_mask", "token_type_ids"]
    ones = torch.ones(2, 8, dtype=torch.long)
    torch.onnx.export(
        LastHiddenState(bert),
        (ones, ones, ones * 0),
        os.path.join(options.output, "minilm.onnx"),
        input_names=names,
        output_names=["last_hidden_state"],
        opset_version=17,
        dynamo=False,
        dynamic_axes={name: {0: "batch", 1: "length"} for name in names + ["last_hidden_state"]},
    )


if __name__ == "__main__":
    main()
