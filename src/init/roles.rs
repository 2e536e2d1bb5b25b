//! What the columns of a file are, by their names.

use crate::columns::{
    AMOUNT, CATEGORY, CURRENCY, CUSTOMER_ID, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, UNIT_PRICE,
};

/// Names of columns in ten languages, without case, blanks and signs, the best first.
#[rustfmt::skip]
const NAMES: [(&str, &[&str]); 9] = [
    (CUSTOMER_ID, &[
        "customerid", "customernumber", "customerno", "customernr", "customercode",
        "clientnumber", "membernumber", "customeruniqueid", "custid", "clientid", "userid",
        "memberid", "buyerid", "accountid", "kundennummer", "kundennr", "kundenid", "idcliente",
        "clienteid", "codicecliente", "numeroclient", "codeclient", "idclient", "klantnummer",
        "klantid", "kundnummer", "kundnr", "kundenummer", "idklienta", "numerklienta",
        "musteriid", "musterino", "顧客id", "会員id", "客户id", "idклиента", "customer", "client",
        "user", "member", "buyer", "kunde", "cliente", "klant", "kund", "klient", "musteri",
        "клиент", "покупатель", "顧客", "会員", "客户", "customeremail", "email", "emailaddress",
        "emailbilling", "mail", "who",
    ]),
    (ORDER_ID, &[
        "orderid", "ordernumber", "orderno", "invoiceno", "invoicenumber", "invoiceid",
        "invoice", "transactionid", "receiptid", "receiptno", "receiptnumber", "receipt",
        "basketid", "bestellnummer", "bestellnr", "bestellid", "rechnungsnummer", "rechnungsnr",
        "belegnummer", "belegnr", "beleg", "numeropedido", "idpedido", "pedido", "factura",
        "numcommande", "numerocommande", "commande", "numeroordine", "idordine", "ordine",
        "ordernummer", "bestelnummer", "ordrenummer", "numerzamowienia", "zamowienie",
        "siparisno", "注文番号", "订单号", "订单编号", "номерзаказа", "заказ", "номер", "order",
        "transaction", "auftragsnummer", "auftragsnr", "nfacture", "numfacture", "numerofacture",
        "ncommande", "nzamowienia", "reference", "orderreference", "ref", "id", "no",
    ]),
    (ORDERED_AT, &[
        "orderdate", "orderedat", "orderpurchasetimestamp", "purchasedate", "purchasedat",
        "invoicedate", "transactiondate", "createdat", "created", "createddateutc", "paidat",
        "orderedon", "datetime", "timestamp", "date", "bestelldatum", "kaufdatum",
        "rechnungsdatum", "datum", "fechapedido", "fechacompra", "fecha", "datecommande",
        "dataordine", "datapedido", "data", "besteldatum", "orderdatum", "ordredato", "dato",
        "datazamowienia", "siparistarihi", "tarih", "注文日時", "注文日", "日付", "下单时间", "订单日期", "日期",
        "датазаказа", "дата", "day", "at",
    ]),
    (QUANTITY, &[
        "quantity", "qty", "units", "lineitemquantity", "menge", "anzahl", "stueck", "cantidad",
        "quantite", "quantita", "quantidade", "aantal", "antal", "ilosc", "adet", "количество",
        "数量",
    ]),
    (UNIT_PRICE, &[
        "unitprice", "itemprice", "lineitemprice", "priceperunit", "stueckpreis", "einzelpreis",
        "preciounitario", "prixunitaire", "prezzounitario", "price", "preis", "precio", "prix",
        "prezzo", "preco", "prijs", "pris", "cena", "fiyat", "цена", "単価", "单价",
    ]),
    (AMOUNT, &[
        "amount", "lineamount", "linetotal", "ordertotal", "ordertotalamount", "totalamount",
        "grandtotal", "netsales", "total", "revenue", "sales", "value", "betrag", "gesamtbetrag", "gesamtpreis", "zeilensumme",
        "umsatz", "summe", "importe", "monto", "montant", "importo", "totale", "valor", "bedrag",
        "totaal", "belopp", "belob", "kwota", "wartosc", "tutar", "сумма", "金額", "合計", "金额",
        "总额", "sum", "spend", "paid",
    ]),
    (PRODUCT_ID, &[
        "productid", "sku", "itemid", "stockcode", "lineitemsku", "articleid", "artikelnummer",
        "artikelnr", "product", "item", "artikel", "producto", "produit", "prodotto", "produto",
        "produkt", "urun", "товар", "商品", "产品",
    ]),
    (CATEGORY, &[
        "category", "department", "productcategory", "kategorie", "categoria", "categorie",
        "kategori", "kategoria", "категория", "カテゴリ", "类别",
    ]),
    (CURRENCY, &[
        "currency", "waehrung", "moneda", "devise", "valuta", "moeda", "валюта", "通貨", "货币",
    ]),
];

/// Names of columns with the state of an order.
const STATUS: [&str; 14] = [
    "transactiontype",
    "ordertype",
    "type",
    "kind",
    "vorgang",
    "financialstatus",
    "orderstatus",
    "paymentstatus",
    "status",
    "zustand",
    "estado",
    "statut",
    "stato",
    "статус",
];

/// The column with the time at which a row was changed.
pub(super) fn changed_at<'a>(names: &[&'a str]) -> Option<&'a str> {
    best(&["updatedat", "modifiedat", "lastmodified", "lastupdated", "changedat"], names)
        .map(|(name, _)| name)
}

/// The columns whose names are those of amounts: net, gross and total are different amounts.
pub(super) fn amounts<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let words = ["net", "gross", "total", "amount", "subtotal", "brutto", "netto", "ht", "ttc"];
    let is_amount = |name: &&&str| {
        let parts: Vec<String> = name.split([' ', '_', '-', '.']).map(str::to_lowercase).collect();
        let is_reduction = ["tax", "discount", "shipping", "refund", "rabatt", "steuer"];
        parts.iter().any(|part| words.contains(&part.as_str()))
            && !parts.iter().any(|part| is_reduction.iter().any(|word| part.contains(word)))
    };
    names.iter().filter(is_amount).copied().collect()
}

/// Whether a name is that of a flag or a time of returned or cancelled rows.
pub(super) fn is_flag_of_return(name: &str) -> bool {
    let words = ["cancel", "void", "refund", "storno", "return", "annul"];
    words.iter().any(|word| plain(name).contains(word))
}

/// A name without case, accents, blanks and signs.
fn plain(name: &str) -> String {
    let folded = |c: char| match c {
        'á' | 'à' | 'â' | 'ã' | 'å' => "a".to_owned(),
        'ä' => "ae".to_owned(),
        'é' | 'è' | 'ê' | 'ë' => "e".to_owned(),
        'í' | 'ì' | 'î' | 'ï' | 'ı' => "i".to_owned(),
        'ó' | 'ò' | 'ô' | 'õ' | 'ø' => "o".to_owned(),
        'ö' => "oe".to_owned(),
        'ú' | 'ù' | 'û' => "u".to_owned(),
        'ü' => "ue".to_owned(),
        'ç' | 'ć' => "c".to_owned(),
        'ñ' => "n".to_owned(),
        'ł' => "l".to_owned(),
        'ś' | 'ş' => "s".to_owned(),
        'ż' | 'ź' => "z".to_owned(),
        'ß' => "ss".to_owned(),
        other => other.to_string(),
    };
    let kept = name.to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric()).map(folded).collect()
}

/// The column that is most probably one of the pipeline's, and whether its name alone says so.
pub(super) fn column<'a>(ours: &str, names: &[&'a str]) -> Option<(&'a str, bool)> {
    let (_, known) = NAMES.iter().find(|(name, _)| *name == ours)?;
    best(known, names)
}

/// The column with the state of an order.
pub(super) fn status<'a>(names: &[&'a str]) -> Option<&'a str> {
    best(&STATUS, names).map(|(name, _)| name)
}

fn best<'a>(known: &[&str], names: &[&'a str]) -> Option<(&'a str, bool)> {
    let exact = known.iter().find_map(|known| names.iter().find(|name| plain(name) == *known));
    if let Some(name) = exact {
        return Some((name, true));
    }
    // Part of a longer name: `order_purchase_date`, `Total (EUR)`.
    let long = known.iter().filter(|known| known.chars().count() > 3 || !known.is_ascii());
    let mut long = long.filter_map(|known| names.iter().find(|name| plain(name).contains(known)));
    long.next().map(|name| (*name, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ten_languages_are_known() {
        for (ours, name) in [
            (CUSTOMER_ID, "Customer ID"),
            (CUSTOMER_ID, "Kunden-Nr."),
            (ORDER_ID, "Rechnungsnummer"),
            (ORDERED_AT, "Fecha pedido"),
            (AMOUNT, "Montant"),
            (QUANTITY, "Quantità"),
            (UNIT_PRICE, "Prijs"),
            (AMOUNT, "Belopp"),
            (ORDERED_AT, "Data zamówienia"),
            (CUSTOMER_ID, "клиент"),
            (AMOUNT, "金額"),
            (ORDER_ID, "订单号"),
        ] {
            assert_eq!(column(ours, &["x", name, "y"]), Some((name, true)), "{name}");
        }
        assert_eq!(column(ORDERED_AT, &["ship_date", "order_date"]), Some(("order_date", true)));
        assert_eq!(column(AMOUNT, &["Total (EUR)"]), Some(("Total (EUR)", false)));
        assert_eq!(column(CATEGORY, &["who"]), None);
    }
}
