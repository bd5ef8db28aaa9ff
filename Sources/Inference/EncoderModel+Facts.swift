extension EncoderModel {
    /// What decides a vector beside the weights, by name; part of the model's fingerprint.
    package var facts: [(name: String, value: String)] {
        [
            ("architecture", "bert"),
            ("heads", "\(configuration.headCount)"),
            ("hidden_act", "\(configuration.activation)"),
            ("layer_norm_eps", "\(configuration.layerNormEpsilon)"),
            ("layers", "\(configuration.layerCount)"),
            ("dimensions", "\(dimensions)"),
            ("pooling", pooling.rawValue),
            ("pools_prompt", "\(includesPrompt)"),
            ("normalizes", "\(normalizes)"),
        ]
    }
}
