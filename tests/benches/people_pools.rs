//! Names to make contacts of, and what people say instead of them.

/// Given names with how often they occur; a `/` separates the way it is written from the plain way.
pub const GIVEN: &str = "James 30,John 30,Robert 29,Michael 29,William 25,David 24,Richard 17,Joseph 17,Thomas 16,\
Charles 15,Christopher 14,Daniel 13,Matthew 12,Anthony 11,Mark 11,Donald 10,Steven 10,Paul 10,Andrew 9,Joshua 9,\
Kenneth 9,Kevin 8,Brian 8,George 8,Timothy 7,Ronald 7,Edward 7,Jason 7,Jeffrey 7,Ryan 6,Jacob 6,Gary 6,\
Nicholas 6,Eric 6,Jonathan 5,Stephen 5,Larry 5,Justin 5,Scott 5,Brandon 5,Benjamin 5,Samuel 5,Gregory 4,\
Alexander 4,Patrick 4,Frank 4,Raymond 4,Jack 4,Dennis 3,Jerry 3,Tyler 3,Aaron 3,Henry 3,Douglas 3,Peter 3,\
Adam 3,Zachary 3,Nathan 3,Walter 2,Harold 2,Kyle 2,Carl 2,Arthur 2,Gerald 2,Roger 2,Keith 2,Lawrence 2,\
Mary 30,Patricia 15,Jennifer 14,Linda 14,Elizabeth 14,Barbara 13,Susan 11,Jessica 10,Sarah 10,Karen 9,Nancy 9,\
Lisa 9,Margaret 8,Betty 8,Sandra 8,Ashley 7,Dorothy 7,Kimberly 7,Emily 7,Donna 7,Michelle 6,Carol 6,Amanda 6,\
Melissa 6,Deborah 6,Stephanie 6,Rebecca 6,Laura 5,Helen 5,Sharon 5,Cynthia 5,Kathleen 5,Amy 5,Shirley 5,Angela 5,\
Anna 5,Ruth 4,Brenda 4,Pamela 4,Nicole 4,Katherine 4,Virginia 4,Catherine 4,Christine 4,Samantha 4,Debra 4,\
Janet 3,Rachel 3,Carolyn 3,Emma 3,Maria 6,Heather 3,Diane 3,Julie 3,Joyce 3,Victoria 3,Kelly 3,Christina 3,\
Joan 2,Evelyn 2,Lauren 2,Judith 2,Olivia 2,Martha 2,Cheryl 2,Megan 2,Andrea 2,Teresa 2,Gloria 2,Theresa 2,\
Bob 1,Bill 1,Mike 2,Jim 1,Kate 1,Liz 1,Tom 1,Steve 1,Jon 1,Chris 2,Alex 1,Sam 1,Peggy 1,Bobby 1,Kathy 1,Tony 1,\
José/Jose 4,Juan 4,Luis 3,Carlos 3,Francisco 2,Jesús/Jesus 2,Antonio 2,Miguel 2,Jorge 1,Ana 2,Lucía/Lucia 1,\
Guadalupe 1,Sofía/Sofia 1,Jürgen/Jurgen 1,Wolfgang 1,Günter/Gunter 1,Björn/Bjorn 1,François/Francois 1,Renée/Renee 1,\
Zoë/Zoe 1,Chloé/Chloe 1,Łukasz/Lukasz 1,Agnieszka 1,Giuseppe 1,Giovanni 1,Alessandro 1,Dmitri 1,Sergei 1,Natalia 1,\
Siobhán/Siobhan 1,Søren/Soren 1,Åsa/Asa 1,Ioannis 1,Mohammed 2,Fatima 1,Yusuf 1,Priya 1,Rajesh 1,Wei 1,Hiroshi 1";

pub const FAMILY: &str = "Smith 24,Johnson 19,Williams 16,Brown 14,Jones 14,Garcia 12,Miller 12,Davis 11,Rodriguez 10,\
Martinez 10,Hernandez 10,Lopez 9,Gonzalez 9,Wilson 8,Anderson 8,Thomas 7,Taylor 7,Moore 7,Jackson 7,Martin 7,Lee 7,\
Perez 7,Thompson 6,White 6,Harris 6,Sanchez 6,Clark 6,Ramirez 6,Lewis 5,Robinson 5,Walker 5,Young 5,Allen 5,King 5,\
Wright 4,Scott 4,Torres 4,Nguyen 4,Hill 4,Flores 4,Green 4,Adams 4,Nelson 4,Baker 4,Hall 4,Rivera 4,Campbell 4,\
Mitchell 4,Carter 4,Roberts 4,Gomez 3,Phillips 3,Evans 3,Turner 3,Diaz 3,Parker 3,Cruz 3,Edwards 3,Collins 3,Reyes 3,\
Stewart 3,Morris 3,Morales 3,Murphy 3,Cook 3,Rogers 3,Gutierrez 3,Ortiz 3,Morgan 3,Cooper 3,Peterson 3,Bailey 3,\
Reed 3,Kelly 3,Howard 3,Ramos 3,Kim 3,Cox 3,Ward 3,Richardson 3,Watson 2,Brooks 2,Chavez 2,Wood 2,James 2,Bennett 2,\
Gray 2,Mendoza 2,Ruiz 2,Hughes 2,Price 2,Alvarez 2,Castillo 2,Sanders 2,Patel 2,Myers 2,Long 2,Ross 2,Foster 2,\
Schneider 1,Müller/Muller 1,Weiß/Weiss 1,Schröder/Schroder 1,Núñez/Nunez 1,Peña/Pena 1,Ibáñez/Ibanez 1,García/Garcia 1,\
Lefèvre/Lefevre 1,Benoît/Benoit 1,Gonçalves/Goncalves 1,Kowalski 1,Wójcik/Wojcik 1,Dvořák/Dvorak 1,Håkansson/Hakansson 1,\
Jørgensen/Jorgensen 1,O'Brien/OBrien 1,O'Connor/OConnor 1,MacDonald 1,McCarthy 1,Kuznetsov 1,Papadopoulos 1,Rossi 1,\
Bianchi 1,Esposito 1,Yamamoto 1,Tanaka 1,Chaudhary 1,Krishnamurthy 1,Bhattacharya 1,Vandenberg 1,Christensen 1,Fitzgerald 1";

/// What people say for a given name, and back.
pub const CALLED: [(&str, &str); 52] = [
    ("Robert", "Bob"),
    ("Robert", "Rob"),
    ("Robert", "Bobby"),
    ("William", "Bill"),
    ("William", "Will"),
    ("William", "Billy"),
    ("Richard", "Dick"),
    ("Richard", "Rick"),
    ("Michael", "Mike"),
    ("Michael", "Mick"),
    ("James", "Jim"),
    ("James", "Jimmy"),
    ("John", "Jack"),
    ("John", "Johnny"),
    ("Margaret", "Peggy"),
    ("Margaret", "Maggie"),
    ("Margaret", "Meg"),
    ("Elizabeth", "Liz"),
    ("Elizabeth", "Betty"),
    ("Elizabeth", "Beth"),
    ("Katherine", "Kate"),
    ("Catherine", "Cathy"),
    ("Katherine", "Kathy"),
    ("Thomas", "Tom"),
    ("Anthony", "Tony"),
    ("Charles", "Chuck"),
    ("Charles", "Charlie"),
    ("Edward", "Ted"),
    ("Edward", "Ed"),
    ("Steven", "Steve"),
    ("Stephen", "Steve"),
    ("Christopher", "Chris"),
    ("Christina", "Chris"),
    ("Alexander", "Alex"),
    ("Samuel", "Sam"),
    ("Samantha", "Sam"),
    ("Daniel", "Dan"),
    ("Matthew", "Matt"),
    ("Andrew", "Drew"),
    ("Joseph", "Joe"),
    ("Patricia", "Trish"),
    ("Jennifer", "Jen"),
    ("Susan", "Sue"),
    ("Deborah", "Debbie"),
    ("Barbara", "Barb"),
    ("Jose", "Pepe"),
    ("Francisco", "Paco"),
    ("Giuseppe", "Beppe"),
    ("Giovanni", "Gianni"),
    ("Alessandro", "Sandro"),
    ("Dorothy", "Dot"),
    ("Benjamin", "Ben"),
];

pub const TRADES: [&str; 24] = [
    "Plumbing",
    "Roofing",
    "Dental",
    "Consulting",
    "Logistics",
    "Bakery",
    "Software",
    "Legal",
    "Electric",
    "Fitness",
    "Realty",
    "Media",
    "Catering",
    "Motors",
    "Optics",
    "Farms",
    "Textiles",
    "Pharmacy",
    "Insurance",
    "Landscaping",
    "Robotics",
    "Travel",
    "Brewing",
    "Interiors",
];

pub const SYLLABLES: [&str; 48] = [
    "ba", "bel", "bor", "ca", "cher", "cor", "da", "del", "dor", "fa", "fer", "fin", "ga", "gar",
    "gol", "ha", "hol", "ja", "ka", "kel", "kor", "la", "lin", "lo", "ma", "mar", "mon", "na",
    "nor", "pa", "pel", "qui", "ra", "rin", "ro", "sa", "sel", "stan", "ta", "tor", "tri", "va",
    "ver", "wel", "win", "ya", "zan", "zel",
];
pub const ENDINGS: [&str; 16] = [
    "son", "man", "ski", "ez", "ton", "ley", "ford", "berg", "ov", "ini", "ard", "wood", "er",
    "ic", "well", "stein",
];
