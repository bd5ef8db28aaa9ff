/// Texts over which a precision is compared with plain float32: short and long, of many languages, code, numbers,
/// punctuation, emoji. Neighbours among them are near and far. Written for this purpose.
package enum VerificationTexts {
    package static let all: [String] = [
        "",
        "a",
        "Yes.",
        "OK",
        "a window",
        "bread",
        "sourdough starter",
        "What time is it?",
        "How do I reset the password of my account?",
        "I forgot my password and cannot sign in any more.",
        "The invoice of last month was charged twice.",
        "Please send me a refund for order 48213.",
        "Where is the nearest railway station?",
        "The train to the coast leaves from platform four at noon.",
        "Can cats eat cooked rice?",
        "My dog refuses its food since yesterday.",
        "The committee postponed its decision until the auditors have reported.",
        "Interest rates rose by a quarter of a percentage point.",
        "A volcano on the southern island erupted during the night; nobody was hurt.",
        "The goalkeeper saved two penalties and the match ended in a draw.",
        "Photosynthesis turns carbon dioxide and water into sugar and oxygen with the energy of light.",
        "A neutron star packs more than the mass of the sun into a ball some twenty kilometres wide.",
        "She tuned the cello, closed her eyes, and began the slow movement.",
        "He did not say that she stole the money.",
        "He did say that she stole the money.",
        "The old mill by the river has been turned into a library.",
        "Knead the dough for ten minutes, let it rest for an hour, and bake it in a very hot oven.",
        "Preheat the oven, then let the loaf cool on a rack before you cut it.",
        """
        The bakery opens at five in the morning, long before the first customers arrive. Flour is weighed, \
        the starter is fed, and the doughs that rested overnight are divided and shaped. By six the first \
        trays leave the oven, and the smell reaches the end of the street. Whoever has worked there for a \
        while can tell by the sound of a crust whether a loaf is done; the others use a thermometer.
        """,
        """
        A database keeps its promises with a log: before a page is changed, a record of the change is \
        written and flushed. After a crash the log is read from the last checkpoint on, changes of \
        committed transactions are applied again, and those of the others are undone. The cost is that \
        everything is written twice; the gain is that pages may be written late, together, and in any \
        order. Replication ships the same log to another machine, which applies it and so stays a few \
        milliseconds behind.
        """,
        """
        When the glacier withdrew it left a lake without an outlet. Rain and meltwater filled it year after \
        year, and the salts that the streams carried stayed behind. Today the water is so dense that a \
        swimmer floats without effort, and only brine shrimp and a few algae live there. Flamingos stop by \
        in spring; their colour comes from what they eat. Geologists drill into the bed of the lake, \
        because every layer of mud tells how warm the summer was in which it was laid down, and how much it \
        rained. The oldest core reaches back some eighty thousand years. Fine bands of ash mark eruptions \
        far away, and a broad pale band marks a drought that lasted for centuries. People lived on the \
        shore all the time: there are hearths, fish bones, shell beads, and in one place the footprints of \
        a child that walked beside an adult, ran ahead, and came back.
        """,
        """
        1. Disconnect the device from the mains. 2. Remove the four screws at the back. 3. Lift the cover; \
        do not pull the cable. 4. Replace the fuse (T 2 A, 250 V) by one of the same kind. 5. Close the \
        cover, reconnect, and test. If the fuse blows again, the supply is faulty: call the service and \
        state the serial number, the date of purchase, and what you were doing when it failed.
        """,
        "Der Bäcker steht um drei Uhr auf, damit die Brötchen um sechs Uhr fertig sind.",
        "Wo finde ich die nächste Apotheke?",
        "Le boulanger se lève à trois heures pour que le pain soit prêt à six heures.",
        "Où se trouve la pharmacie la plus proche ?",
        "El panadero se levanta a las tres para que el pan esté listo a las seis.",
        "¿Dónde está la farmacia más cercana?",
        "Il treno per Napoli parte tra dieci minuti dal binario sette.",
        "O mercado abre cedo e fecha ao meio-dia.",
        "Пекарь встаёт в три часа, чтобы к шести хлеб был готов.",
        "Ο φούρναρης ξυπνά στις τρεις το πρωί.",
        "パン屋は朝三時に起きて、六時までにパンを焼き上げる。",
        "面包师凌晨三点起床,六点前把面包烤好。",
        "빵집은 아침 여섯 시에 문을 엽니다.",
        "يستيقظ الخباز في الثالثة صباحا.",
        "האופה קם בשלוש לפנות בוקר.",
        "बेकरी सुबह छह बजे खुलती है।",
        "Piekarz wstaje o trzeciej, żeby chleb był gotowy na szóstą.",
        "Bếp trưởng nướng bánh mì từ ba giờ sáng.",
        "func area(width: Double, height: Double) -> Double { width * height }",
        "for (int i = 0; i < n; i++) { sum += a[i] * b[i]; }",
        "SELECT name, count(*) FROM orders WHERE paid = false GROUP BY name HAVING count(*) > 3;",
        "{\"id\": 17, \"tags\": [\"new\", \"fragile\"], \"weight\": 2.75, \"parent\": null}",
        "error: cannot open file 'settings.json': permission denied (code 13)",
        "https://example.org/shop/item?id=99&colour=dark%20blue#reviews",
        "<p class=\"note\">Bread &amp; butter</p>",
        "3.14159 2.71828 1.41421 1.61803",
        "2026-11-23T22:15:00Z, 41.3851 N, 2.1734 E, 1,024 MiB, -40 °C, 99.95 %",
        "0 1 1 2 3 5 8 13 21 34 55 89 144 233 377 610 987 1597 2584 4181",
        "!!! ??? ... --- ;;; ((( ))) *** /// @@@ ###",
        "«Well…», she said — \"no\" – 'never'.",
        "🍞🥐🥖 fresh from the oven! 😀👍🏽 #bakery",
        "bread bread bread bread bread bread bread bread bread bread bread bread bread bread bread bread",
        "WARNING: DO NOT OPEN THE OVEN DOOR WHILE THE LIGHT IS ON",
        "e\u{301}galite\u{301} ﬁne ½ Ⅳ ℌ x\u{200B}y\tz",
        """
        supercalifragilisticexpialidocious antidisestablishmentarianism \
        pneumonoultramicroscopicsilicovolcanoconiosis
        """,
    ]
}
