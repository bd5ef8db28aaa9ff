#pragma once

// libpq 15 is the oldest that is supported: pipeline mode came with 14, and nothing newer than 15 is called.
#include <libpq-fe.h>

#ifndef LIBPQ_HAS_PIPELINING
#error "libpq 14 or newer is needed"
#endif

// PG_DIAG_* are character literals, which Swift does not import.
static const int ovenbird_diagnostic_sqlstate = PG_DIAG_SQLSTATE;
static const int ovenbird_diagnostic_severity = PG_DIAG_SEVERITY_NONLOCALIZED;
static const int ovenbird_diagnostic_message = PG_DIAG_MESSAGE_PRIMARY;
static const int ovenbird_diagnostic_detail = PG_DIAG_MESSAGE_DETAIL;
static const int ovenbird_diagnostic_hint = PG_DIAG_MESSAGE_HINT;
static const int ovenbird_diagnostic_constraint = PG_DIAG_CONSTRAINT_NAME;
static const int ovenbird_diagnostic_table = PG_DIAG_TABLE_NAME;
