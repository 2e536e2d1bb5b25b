"""A typical RFM notebook with pandas and scikit-learn: RFM, scores, KNN, silhouette, Parquet."""

import sys

import numpy as np
import pandas as pd
from sklearn.metrics import silhouette_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler


def accepted_lines(source):
    columns = ["InvoiceNo", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
    if source.endswith(".csv"):
        lines = pd.read_csv(source, usecols=columns, dtype={"InvoiceNo": "string[pyarrow]", "CustomerID": "float64"}, engine="pyarrow")
        if not pd.api.types.is_datetime64_any_dtype(lines["InvoiceDate"]):
            lines["InvoiceDate"] = pd.to_datetime(lines["InvoiceDate"], format="%m/%d/%Y %H:%M")
    else:
        lines = pd.read_parquet(source, columns=columns)
    lines = lines[lines["CustomerID"].notna()]
    lines = lines[~lines["InvoiceNo"].str.startswith("C") & (lines["Quantity"] > 0) & (lines["UnitPrice"] > 0)]
    return lines


def main(source, to):
    lines = accepted_lines(source)
    lines["Money"] = lines["Quantity"] * lines["UnitPrice"]
    last = lines["InvoiceDate"].max().normalize() + pd.Timedelta(days=1)
    rfm = lines.groupby("CustomerID").agg(last=("InvoiceDate", "max"), frequency=("InvoiceNo", "nunique"), monetary=("Money", "sum"))
    rfm["recency"] = (last - rfm["last"].dt.normalize()).dt.days
    for name, column, labels in [("r", -rfm["recency"], 5), ("f", rfm["frequency"], 5), ("m", rfm["monetary"], 5)]:
        rfm[f"{name}_score"] = pd.qcut(column.rank(method="first"), labels, labels=False) + 1
    mean = (rfm["f_score"] + rfm["m_score"]) / 2
    rfm["segment"] = (rfm["r_score"] * 10 + mean.round()).astype(int)
    features = np.column_stack([rfm["recency"], np.log1p(rfm["frequency"]), np.log1p(rfm["monetary"])])
    points = StandardScaler().fit_transform(features)
    train, test, known, hidden = train_test_split(points, rfm["segment"], test_size=0.2, random_state=42, stratify=rfm["segment"])
    model = KNeighborsClassifier(5, weights="distance", n_jobs=-1).fit(train, known)
    accuracy = model.score(test, hidden)
    rfm["label"] = model.predict(points)
    silhouette = silhouette_score(points, rfm["segment"], sample_size=10_000, random_state=42)
    rfm.to_parquet(to)
    print(len(rfm), int(rfm["frequency"].sum()), round(float(rfm["monetary"].sum()), 2), accuracy, silhouette)


if __name__ == "__main__":
    main(*sys.argv[1:])
