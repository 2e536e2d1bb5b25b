//! Segments: every customer at every snapshot.

use super::{Column, Table, date, float64, int32, text, timestamp, uint8, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "segments",
    grain: "One row per customer and snapshot, sorted by customer. One file per snapshot.",
    columns: &[
        text(CUSTOMER_ID),
        timestamp(LAST_ORDER_AT),
        int32(RECENCY_DAYS),
        uint32(FREQUENCY),
        float64(MONETARY),
        float64(RETURNED_MONEY).optional(),
        int32(TENURE_DAYS).optional(),
        float64(MEAN_GAP_DAYS).optional(),
        float64(GAP_DAYS_STD).optional(),
        float64(AVERAGE_ORDER_VALUE).optional(),
        float64(RATIO).pattern(),
        uint32(N_PRODUCTS).optional(),
        float64(CATEGORY_SHARE).pattern(),
        Column::ATTRIBUTES,
        uint8(R_SCORE),
        uint8(F_SCORE),
        uint8(M_SCORE),
        text(RFM_CODE),
        float64(RFM_SCORE).optional(),
        text(SEGMENT),
        text(PREVIOUS_SEGMENT),
        date(SEGMENT_SINCE),
        uint32(SNAPSHOTS_IN_SEGMENT),
        uint32(RULE).optional(),
        float64(TO_NEXT).pattern(),
        text(NEXT_SEGMENT).pattern(),
        text(MODEL_LABEL).pattern(),
        float64(MODEL_CONFIDENCE).pattern(),
        float64(MODEL_MARGIN).pattern(),
        float64(MODEL_NOVELTY).pattern(),
    ],
};
