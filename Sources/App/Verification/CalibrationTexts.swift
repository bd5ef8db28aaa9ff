/// Texts over which an int8 model learns at start what its layers' inputs look like: of many kinds, 706 tokens in all as
/// all-MiniLM-L6-v2 counts them. Written for this purpose; other texts than a precision is verified with.
package enum CalibrationTexts {
    package static let all: [String] = [
        "The quick brown fox jumps over the lazy dog.",
        "What is the capital of Australia?",
        "How do I reset my password if I no longer have access to my email address?",
        "Revenue rose 12.5% to $3,482 million in the third quarter of 2023, while net income fell.",
        "def area(r): return 3.14159 * r ** 2  # compute the area of a circle",
        "The patient was admitted with acute chest pain, shortness of breath and a history of hypertension.",
        "SELECT name, COUNT(*) FROM orders WHERE price > 100 GROUP BY name ORDER BY 2 DESC;",
        "She walked slowly along the river, thinking of the summer they had spent together in the mountains.",
        "Photosynthesis converts carbon dioxide and water into glucose and oxygen using the energy of sunlight.",
        "Best pizza in town! The crust was perfect, but the service was terribly slow... 3/5 stars.",
        "hello",
        "Der Zug nach Berlin fährt um 14:35 Uhr von Gleis 7 ab.",
        "Pursuant to Section 4(b), the Licensee shall indemnify the Licensor against any claims arising from such use.",
        "error: cannot open file '/etc/app/config.yaml': No such file or directory (errno 2)",
        "Mix the flour, sugar and butter; add two eggs, then bake at 180 °C for 25 minutes until golden.",
        "World War II ended in 1945 after the surrender of Germany in May and of Japan in September.",
        "cheap flights from london to new york",
        "Les enfants jouent dans le jardin pendant que leur grand-mère prépare le dîner.",
        """
        Quantum computers use qubits, which may exist in superposition, to solve certain problems faster \
        than classical machines.
        """,
        "-v, --verbose   print more output; may be given twice. The default is to stay quiet.",
        "The striker scored twice in the final ten minutes to send the home side into the semi-finals.",
        "Dear Ms. Alvarez, thank you for your application. We regret to inform you that the position has been filled.",
        "https://www.example.com/products?id=42&ref=home",
        "Ein Haus, a house, une maison, una casa, 一座房子, дом.",
        """
        The committee will meet on Tuesday at 9 a.m. in Room 214 to discuss the budget, the new hiring \
        policy and the annual report.
        """,
        "To be, or not to be, that is the question.",
        """
        Machine learning models are trained on large datasets and evaluated on held-out examples to estimate \
        how well they generalize.
        """,
        "C2H5OH + 3 O2 -> 2 CO2 + 3 H2O",
        """
        The mitochondria, often called the powerhouse of the cell, generate most of its supply of adenosine \
        triphosphate.
        """,
        "dog",
        "I can't believe it's already December; time flies when you're having fun, doesn't it?",
        """
        A neutron star is the collapsed core of a massive supergiant star, with a mass of about 1.4 times \
        that of the Sun and a radius of only ten kilometres.
        """,
    ]
}
