import Inference
import Testing

/// What a model's folder may say, and how it is refused where nothing here computes it.
struct ModelFolderTests {
    @Test(arguments: [
        ("\"bert\"", "\"roberta\"", "config.json: model_type \"roberta\" is not supported"),
        ("\"relu\"", "\"quick_gelu\"", "config.json: hidden_act \"quick_gelu\" is not supported"),
        ("\"is_decoder\": false", "\"is_decoder\": true", "config.json: is_decoder true is not supported"),
        ("\"use_cache\": true", "\"position_embedding_type\": \"alibi\"", "position_embedding_type \"alibi\""),
        ("\"use_cache\": true", "\"auto_map\": {}", "auto_map present"),
        ("\"use_cache\": true", "\"quantization_config\": {}", "quantization_config present"),
        ("\"hidden_size\": 17", "\"hidden_size\": \"17\"", "hidden_size is \"17\", expected an integer"),
        ("\"hidden_size\": 17", "\"hidden_size\": 0", "hidden_size is 0"),
        ("\"hidden_size\": 17", "\"hidden_size\": 99999999999999999999", "hidden_size is 99999999999999999999"),
        ("\"hidden_size\": 17", "\"hidden\": 17", "hidden_size is missing"),
        ("\"hidden_size\": 17", "\"hidden_size\": 34", "expected the encoder's hidden_size 34"),
        ("\"num_attention_heads\": 1", "\"num_attention_heads\": 3", "num_attention_heads is 3, expected a divisor"),
        ("\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": -1", "layer_norm_eps is -1"),
        (
            "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3",
            "encoder.layer.2.attention.self.query.weight is missing"
        ),
        ("\"vocab_size\": 101", "\"vocab_size\": 102", "has shape [101, 17], config.json asks for [102, 17]"),
        ("{", "[", "config.json: "),
    ])
    func configurationsAreRefusedByName(old: String, new: String, complaint: String) throws {
        let spoilt = try SpoiltModel()
        try spoilt.replace(old, with: new, in: "config.json")
        let failure = try #require(spoilt.loadFailure())
        #expect(failure.contains(complaint), "\(failure)")
    }

    @Test(arguments: [
        "sentence_transformers.models.Dense", "sentence_transformers.base.modules.dense.Dense",
        "sentence_transformers.models.LayerNorm", "sentence_transformers.models.Dropout",
        "sentence_transformers.models.WordWeights", "mine.Pooling", "sentence_transformers.models.CLIPModel",
    ])
    func otherModulesAreRefusedByName(type: String) throws {
        let spoilt = try SpoiltModel()
        try spoilt.replace("sentence_transformers.models.Pooling", with: type, in: "modules.json")
        #expect(try #require(spoilt.loadFailure()).contains("modules.json: type \"\(type)\" is not supported"))
    }

    @Test func modulesInAnotherOrderAreRefused() throws {
        let spoilt = try SpoiltModel()
        try spoilt.write("modules.json", #"[{"path":"1_Pooling","type":"sentence_transformers.models.Pooling"}]"#)
        #expect(try #require(spoilt.loadFailure()).contains("the sequence of modules Pooling is not supported"))
    }

    @Test func pathsOutsideTheFolderAreRefused() throws {
        let spoilt = try SpoiltModel()
        try spoilt.replace("1_Pooling", with: "../1_Pooling", in: "modules.json")
        #expect(try #require(spoilt.loadFailure()).contains("path is \"../1_Pooling\""))
    }

    @Test func poolingModesAreRefusedByName() throws {
        for (settings, complaint) in [
            (#"{"pooling_mode":"lasttoken"}"#, "pooling_mode \"lasttoken\""),
            (#"{"pooling_mode":["cls","mean"]}"#, "pooling_mode \"cls\" with \"mean\""),
            (#"{"pooling_mode":7}"#, "pooling_mode is 7"),
            (#"{"pooling_mode_weightedmean_tokens":true}"#, "pooling_mode \"weightedmean\""),
            (#"{"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true}"#, "pooling_mode \"cls\" with \"mean\""),
            (#"{"word_embedding_dimension":18}"#, "word_embedding_dimension is 18"),
            (#"{"embedding_dimension":18}"#, "embedding_dimension is 18"),
        ] {
            let spoilt = try SpoiltModel()
            try spoilt.write("1_Pooling/config.json", settings)
            let failure = try #require(spoilt.loadFailure())
            #expect(failure.contains("1_Pooling/config.json: \(complaint)"), "\(failure)")
        }
    }

    @Test func poolingIsReadInBothStyles() throws {
        for (settings, pooling) in [
            (#"{"pooling_mode":"max"}"#, Pooling.max), (#"{"pooling_mode":["cls"]}"#, .cls),
            (#"{"pooling_mode":"mean_sqrt_len_tokens","pooling_mode_cls_token":true}"#, .meanSqrtLength),
            (#"{"pooling_mode_max_tokens":true}"#, .max), ("{}", .mean),
        ] {
            let spoilt = try SpoiltModel()
            try spoilt.write("1_Pooling/config.json", settings)
            #expect(try EncoderModel(directory: spoilt.directory).pooling == pooling)
        }
    }

    @Test func withoutModulesTheMeanIsTakenAsItIs() throws {
        let spoilt = try SpoiltModel()
        try spoilt.remove("modules.json")
        let model = try EncoderModel(directory: spoilt.directory)
        #expect(model.pooling == .mean && !model.normalizes && model.includesPrompt)
    }

    @Test(arguments: ["config.json", "1_Pooling/config.json"])
    func missingFilesAreNamed(file: String) throws {
        let spoilt = try SpoiltModel()
        try spoilt.remove(file)
        #expect(try #require(spoilt.loadFailure()).hasPrefix("\(file): "))
    }
}
