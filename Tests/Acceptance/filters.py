"""The metadata filters of the search programs, and what they mean, written anew from the contract: a missing field or
a value of another type matches no comparison; dots reach nested fields; `$not` holds exactly where its condition
does not.
"""

MISSING = object()

FILTERS = [
    {"group": "g3"},
    {"even": True},
    {"number": {"$lt": 250}},
    {"number": {"$gte": 4000, "$lt": 4100}},
    {"nested.bucket": {"$in": [1, 3, 9]}},
    {"group": {"$ne": "g0"}},
    {"rare": {"$exists": False}},
    {"rare": {"$ne": 1.0}},
    {"mixed": {"$gt": "5"}},
    {"mixed": {"$lte": 500}},
    {"$and": [{"even": False}, {"$or": [{"group": "g1"}, {"nested.bucket": 5}]}]},
    {"$not": {"group": {"$in": ["g1", "g2", "g3", "g4", "g5"]}}},
    {"even": True, "nested.bucket": 4},
    {"number": "17"},
    {"absent": {"$exists": True}},
    {"nothing": None},
    {"$not": {"rare": {"$gt": 100}}},
]


def field(metadata, path):
    for name in path.split("."):
        if not isinstance(metadata, dict) or name not in metadata:
            return MISSING
        metadata = metadata[name]
    return metadata


def kind(value):
    if value is None or isinstance(value, bool):
        return type(value)
    return float if isinstance(value, (int, float)) else type(value)


def compares(value, operator, operand):
    if operator == "$exists":
        return (value is not MISSING) == operand
    if value is MISSING:
        return False
    if operator == "$in":
        return any(kind(value) == kind(item) and value == item for item in operand)
    if kind(value) != kind(operand):
        return False
    match operator:
        case "$eq":
            return value == operand
        case "$ne":
            return value != operand
        case "$gt":
            return value > operand
        case "$gte":
            return value >= operand
        case "$lt":
            return value < operand
        case "$lte":
            return value <= operand
    raise ValueError(operator)


def matches(metadata, condition):
    def one(key, value):
        match key:
            case "$and":
                return all(matches(metadata, part) for part in value)
            case "$or":
                return any(matches(metadata, part) for part in value)
            case "$not":
                return not matches(metadata, value)
        found = field(metadata, key)
        if isinstance(value, dict):
            return all(compares(found, operator, operand) for operator, operand in value.items())
        return compares(found, "$eq", value)

    return all(one(key, value) for key, value in condition.items())
